package amqp_test

import (
	"net/url"
	"strings"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/internal/testenv"
)

// TestLook: what exists is compared, and what does not is not made.
func TestLook(t *testing.T) {
	ctx, name := t.Context(), testenv.Name(t)
	a := admin(t, amqp.Dialer{URL: testenv.RabbitMQ(t)})
	queue := amqp.QueueSpec{Name: name, Durable: true, Args: map[string]any{"x-queue-type": "quorum"}}
	exchange := broker.Exchange{Name: name, Kind: "topic", Durable: true}
	look := func(want amqp.Presence, words string, seen amqp.Seen, err error) amqp.Seen {
		t.Helper()
		if err != nil || seen.Presence != want || !strings.Contains(seen.Words, words) || seen.Exists != (want != amqp.Missing) {
			t.Errorf("got %+v, %v; want %s with %q", seen, err, want, words)
		}
		return seen
	}
	lookQueue := func(want amqp.Presence, words string, spec amqp.QueueSpec) amqp.Seen {
		t.Helper()
		seen, err := a.LookQueue(ctx, spec)
		return look(want, words, seen, err)
	}
	for range 2 { // the first look makes nothing
		lookQueue(amqp.Missing, "404", queue)
		seen, err := a.LookExchange(ctx, exchange)
		look(amqp.Missing, "404", seen, err)
	}

	if _, err := a.Declare(ctx, queue); err != nil {
		t.Fatal(err)
	}
	if err := a.DeclareExchange(ctx, exchange); err != nil {
		t.Fatal(err)
	}
	binding := broker.Binding{Exchange: name, Key: "a.#", Queue: name}
	if made, err := a.Bind(ctx, []broker.Binding{binding, binding, {Exchange: name, Key: "b", Queue: name + ".none"}, binding}); made != 2 ||
		err == nil || !strings.Contains(err.Error(), `bind "`+name+`.none"`) {
		t.Errorf("bind: got %d, %v", made, err)
	}
	fill(t, testenv.RabbitMQ(t), name, 3)
	if seen := lookQueue(amqp.Same, "", queue); seen.Ready != 3 {
		t.Errorf("got %+v, want 3 ready", seen)
	}
	seen, err := a.LookExchange(ctx, exchange)
	look(amqp.Same, "", seen, err)
	exchange.Kind = "direct"
	seen, err = a.LookExchange(ctx, exchange)
	look(amqp.Differs, "inequivalent arg 'type'", seen, err)
	lookQueue(amqp.Differs, "inequivalent arg 'x-queue-type'", amqp.QueueSpec{Name: name, Durable: true, Args: map[string]any{"x-queue-type": "classic"}})

	other := admin(t, amqp.Dialer{URL: testenv.RabbitMQ(t)})
	locked := amqp.QueueSpec{Name: name + ".locked"}
	exclusive(t, locked.Name)
	seen, err = other.LookQueue(ctx, locked)
	look(amqp.Hidden, "exclusive access", seen, err)

	if _, err := a.Delete(ctx, name, false, false); err != nil {
		t.Error(err)
	}
}

// exclusive declares a queue of a connection that ends with the test.
func exclusive(t *testing.T, name string) {
	t.Helper()
	conn, err := amqp091.Dial(testenv.RabbitMQ(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err == nil {
		_, err = ch.QueueDeclare(name, false, false, true, false, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestMay: the answers for users with and without each right, and nothing is
// changed by a question.
func TestMay(t *testing.T) {
	node := testenv.SharedNode(t)
	ctx, name := t.Context(), testenv.Name(t)
	all := admin(t, amqp.Dialer{URL: node.URL})
	if _, err := all.Declare(ctx, amqp.QueueSpec{Name: name, Durable: true, Args: map[string]any{"x-queue-type": "quorum"}}); err != nil {
		t.Fatal(err)
	}
	fill(t, node.URL, name, 2)
	questions := []amqp.Right{
		{Permission: "configure", Kind: "queue", Name: name},
		{Permission: "configure", Kind: "queue", Name: name + ".none"},
		{Permission: "configure", Kind: "exchange", Name: name + ".none"},
		{Permission: "configure", Kind: "exchange", Name: "amq.direct"},
		{Permission: "write", Kind: "exchange"},
		{Permission: "write", Kind: "exchange", Name: "amq.topic"},
		{Permission: "write", Kind: "exchange", Name: name + ".none"},
		{Permission: "read", Kind: "queue", Name: name},
		{Permission: "read", Kind: "queue", Name: name + ".none"},
	}
	for _, tt := range []struct {
		user, configure, write, read string
		want                         string // of configure, write and read
	}{
		{"all", ".*", ".*", ".*", "granted granted granted"},
		{"none", "^$", "^$", "^$", "refused refused refused"},
		{"reader", "^$", "^$", ".*", "refused refused granted"},
		{"writer", "^$", ".*", "^$", "refused granted refused"},
		{"forger", ".*", ".*", "^$", "granted granted refused"},
	} {
		user := name + "." + tt.user
		for _, args := range [][]string{{"add_user", user, "secret"}, {"set_permissions", "-p", "/", user, tt.configure, tt.write, tt.read}} {
			if _, err := node.Ctl(ctx, args...); err != nil {
				t.Fatal(err)
			}
		}
		if tt.user == "forger" { // may publish in the name of others
			if _, err := node.Ctl(ctx, "set_user_tags", user, "impersonator"); err != nil {
				t.Fatal(err)
			}
		}
		u, err := url.Parse(node.URL)
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword(user, "secret")
		a := admin(t, amqp.Dialer{URL: u.String()})
		want := strings.Fields(tt.want)
		for _, q := range questions {
			expected := map[string]string{"configure": want[0], "write": want[1], "read": want[2]}[q.Permission]
			g, words, err := a.May(ctx, q)
			if err != nil || string(g) != expected {
				t.Errorf("%s: %v: got %s, %q, %v; want %s", tt.user, q, g, words, err, expected)
			}
			if g == amqp.Refused && !strings.Contains(words, q.Resource()) {
				t.Errorf("%s: %v: the words do not name it: %s", tt.user, q, words)
			}
		}
		if g, _, err := a.May(ctx, amqp.Right{Permission: "read", Kind: "exchange", Name: "amq.topic"}); g != amqp.Unclear || err != nil {
			t.Errorf("a question that cannot be asked: got %s, %v", g, err)
		}
	}
	if counts, err := all.Queue(ctx, name); err != nil || counts.Ready != 2 || counts.Consumers != 0 {
		t.Errorf("after all questions: got %+v, %v; want the 2 messages", counts, err)
	}
	if _, err := all.Queue(ctx, name+".none"); err == nil {
		t.Error("a question has made a queue")
	}
	if seen, err := all.LookExchange(ctx, broker.Exchange{Name: name + ".none", Kind: "direct"}); err != nil || seen.Exists {
		t.Errorf("a question has made an exchange: %+v, %v", seen, err)
	}
	if _, err := all.Delete(ctx, name, false, false); err != nil {
		t.Error(err)
	}
}
