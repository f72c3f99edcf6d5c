package management_test

import (
	compare "cmp"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/internal/management"
	"github.com/magne-actors/magne-actors/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m).Run()) }

// TestRabbitMQ asks a real API for everything.
func TestRabbitMQ(t *testing.T) {
	ctx := t.Context()
	node := testenv.Private(t, testenv.Options{Management: true})
	a, err := amqp.Dialer{URL: node.URL}.Admin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close(ctx)
	if err := a.DeclareExchange(ctx, broker.Exchange{Name: "x", Kind: "topic", Durable: true, Args: map[string]any{"alternate-exchange": "amq.fanout"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Declare(ctx, amqp.QueueSpec{Name: "q", Durable: true, Args: map[string]any{"x-queue-type": "quorum", "x-delivery-limit": int32(7)}}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Bind(ctx, []broker.Binding{{Exchange: "x", Key: "a.#", Queue: "q"}, {Exchange: "x", Key: "b", ToExchange: "amq.topic"}}); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"set_policy", "--priority", "3", "--apply-to", "queues", "short", "^q", `{"max-length":10}`},
		{"set_operator_policy", "--apply-to", "queues", "old", "^q", `{"message-ttl":1000}`},
	} {
		if _, err := node.Ctl(ctx, args...); err != nil {
			t.Fatal(err)
		}
	}
	c := client(t, node.Management)
	same := func(what string, want, got any, err error) {
		t.Helper()
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v, -want +got:\n%s", what, err, diff)
		}
	}
	exchanges, err := c.Exchanges(ctx, "/")
	same("exchanges", management.Exchange{Name: "x", Type: "topic", Durable: true, Arguments: map[string]any{"alternate-exchange": "amq.fanout"}}, exchanges[len(exchanges)-1], err)
	bindings, err := c.Bindings(ctx, "/")
	same("bindings", []management.Binding{
		{Destination: "q", DestinationType: "queue", RoutingKey: "q", Arguments: map[string]any{}},
		{Source: "x", Destination: "q", DestinationType: "queue", RoutingKey: "a.#", Arguments: map[string]any{}},
		{Source: "x", Destination: "amq.topic", DestinationType: "exchange", RoutingKey: "b", Arguments: map[string]any{}},
	}, sortedBindings(bindings), err)
	policies, err := c.Policies(ctx, "/")
	same("policies", []management.Policy{{Name: "short", Pattern: "^q", ApplyTo: "queues", Priority: 3, Definition: map[string]any{"max-length": 10.0}}}, policies, err)
	policies, err = c.OperatorPolicies(ctx, "/")
	same("operator policies", []management.Policy{{Name: "old", Pattern: "^q", ApplyTo: "queues", Definition: map[string]any{"message-ttl": 1000.0}}}, policies, err)
	queues, err := c.Queues(ctx, "/")
	same("queues", map[string]any{"x-queue-type": "quorum", "x-delivery-limit": 7.0}, queues[0].Arguments, err)
	overview, err := c.Overview(ctx)
	if age := time.Since(overview.Clock); err != nil || overview.Product != "RabbitMQ" || overview.Version == "" || overview.Node != node.Name || age < -time.Minute || age > time.Minute {
		t.Errorf("overview: got %+v, %v", overview, err)
	}
	nodes, err := c.Nodes(ctx)
	if err != nil || len(nodes) != 1 || nodes[0].Name != node.Name || !nodes[0].Running || nodes[0].MemoryAlarm {
		t.Errorf("nodes: got %+v, %v", nodes, err)
	}
}

func sortedBindings(all []management.Binding) []management.Binding {
	slices.SortFunc(all, func(a, b management.Binding) int {
		return compare.Or(strings.Compare(a.Source, b.Source), strings.Compare(a.RoutingKey, b.RoutingKey))
	})
	return all
}
