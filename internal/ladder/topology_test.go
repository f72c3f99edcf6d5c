package ladder

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/magne-actors/magne-actors/broker"
)

// TestTopology holds the names and arguments that stand in brokers: another one is
// another version, with other names.
func TestTopology(t *testing.T) {
	datadriven.RunTest(t, "testdata/topology", func(t *testing.T, d *datadriven.TestData) string {
		top := Topology()
		switch d.Cmd {
		case "count":
			to := map[bool]int{}
			for _, b := range top.Bindings {
				to[strings.HasPrefix(b.Queue, QueuePrefix)]++
			}
			return fmt.Sprintf("%d exchanges, %d queues to wait in and 1 for what is not delivered, %d bindings to queues to wait in and %d others\n",
				len(top.Exchanges), len(top.Queues)-1, to[true], to[false])
		case "exchanges":
			return list(top.Exchanges, func(x broker.Exchange) string {
				return fmt.Sprintf("%s %s durable=%v %s", x.Name, x.Kind, x.Durable, args(x.Args))
			})
		case "queues":
			return list(top.Queues, func(q broker.Queue) string {
				return fmt.Sprintf("%s durable=%v %s", q.Name, q.Durable, args(q.Args))
			})
		case "bindings":
			return list(top.Bindings, binding)
		case "exit":
			return list(Exit(d.CmdArgs[0].Key).Bindings, binding)
		}
		d.Fatalf(t, "unknown command %s", d.Cmd)
		return ""
	})
}

func binding(b broker.Binding) string {
	return fmt.Sprintf("%s %q -> %s%s", b.Exchange, b.Key, strings.Repeat("exchange ", min(len(b.ToExchange), 1)), b.Destination())
}

func args(m map[string]any) string {
	b, err := json.Marshal(m)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func list[T any](xs []T, show func(T) string) string {
	var b strings.Builder
	for _, x := range xs {
		b.WriteString(show(x) + "\n")
	}
	return b.String()
}
