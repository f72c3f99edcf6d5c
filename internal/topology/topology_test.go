package topology_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/config"
	"github.com/magne-actors/magne-actors/internal/topology"
)

// TestGolden: a configuration, and the facts about a broker, give a plan.
func TestGolden(t *testing.T) {
	datadriven.RunTest(t, "testdata/golden", func(t *testing.T, d *datadriven.TestData) string {
		yaml, facts, _ := strings.Cut(d.Input+"\n", "facts:\n")
		o := topology.Options{Delays: topology.DelaysNever}
		switch {
		case d.HasArg("delays"):
			o.Delays = topology.DelaysAlways
		case d.HasArg("as-needed"):
			o.Delays = topology.DelaysAsNeeded
		}
		if d.HasArg("pools") {
			d.ScanArgs(t, "pools", &o.Pools)
		}
		f, err := config.Parse(strings.NewReader("version: 1\n"+yaml), "magne.yaml", nil)
		if err != nil {
			return err.Error() + "\n"
		}
		want, err := topology.Of(f, o)
		if err != nil {
			return err.Error() + "\n"
		}
		switch d.Cmd {
		case "want":
			return objects(want)
		case "count":
			return fmt.Sprintln(len(want))
		case "permissions":
			return permissions(want)
		default:
			return plan(topology.Compare(want, readFacts(t, facts)))
		}
	})
}

// short leaves out what would make the ladder too long to read.
func short(o *topology.Object) bool {
	return strings.HasPrefix(o.Name, "magne.v1.delay.") && !strings.HasSuffix(o.Name, ".6") && o.Name != "magne.v1.delay.0.1" || strings.HasPrefix(o.Exchange, "magne.v1.delay.")
}

func objects(list []topology.Object) string {
	var b strings.Builder
	skipped := 0
	for _, o := range list {
		if short(&o) {
			skipped++
			continue
		}
		args, _ := json.Marshal(o.Args)
		if strings.HasPrefix(o.Name, "magne.v1.delay.") {
			args = []byte("...") // the golden files of package ladder have them
		}
		if o.Kind == topology.KindBinding {
			fmt.Fprintf(&b, "binding %s -> %s key %q %v\n", o.Exchange, o.Name, o.Key, o.Pools)
			continue
		}
		fmt.Fprintf(&b, "%s %s %s durable=%v %s %v as it is: %v\n", o.Kind, o.Name, o.Type, o.Durable, args, o.Pools, o.AsItIs)
	}
	if skipped > 0 {
		fmt.Fprintf(&b, "and %d more of the ladder\n", skipped)
	}
	return b.String()
}

func permissions(want []topology.Object) string {
	var b strings.Builder
	for _, p := range topology.Permissions(want) {
		fmt.Fprintf(&b, "%s\n  configure %s\n  write     %s\n  read      %s\n", p.Identity, p.Configure, p.Write, p.Read)
	}
	return b.String()
}

func plan(p topology.Plan) string {
	var b strings.Builder
	for _, c := range p.Changes {
		if short(&c.Object) {
			continue
		}
		fmt.Fprintf(&b, "%s: %s %s", c.State, c.Kind, c.Name)
		if c.Why != "" {
			fmt.Fprintf(&b, ": %s", c.Why)
		}
		b.WriteByte('\n')
		for _, d := range c.Differences {
			fmt.Fprintf(&b, "  %s: want %v, have %v\n", d.Property, d.Want, d.Have)
		}
		if c.Do != "" {
			fmt.Fprintf(&b, "  -> %s\n", c.Do)
		}
	}
	fmt.Fprintf(&b, "blocked: %v\n", p.Blocked())
	return b.String()
}

// readFacts reads "queue work differs the broker's words", "refused queue work
// words", "listed queue work {"x-queue-type": "classic"}" and "listed binding
// exchange key queue"; what is not named is missing.
func readFacts(t *testing.T, text string) topology.Facts {
	t.Helper()
	f := topology.Facts{Exchanges: map[string]amqp.Seen{}, Queues: map[string]amqp.Seen{}, Refused: map[string]string{}}
	for line := range strings.Lines(text) {
		w := strings.Fields(line)
		rest := func(n int) string { return strings.Join(w[n:], " ") }
		switch w[0] {
		case "all": // that are not named
			f.Exchanges, f.Queues = sameAll(), sameAll()
		case "exchange", "queue":
			seen := amqp.Seen{Presence: amqp.Presence(w[2]), Words: rest(3)}
			seen.Exists = seen.Presence == amqp.Same || seen.Presence == amqp.Differs
			map[string]map[string]amqp.Seen{"exchange": f.Exchanges, "queue": f.Queues}[w[0]][w[1]] = seen
		case "refused":
			f.Refused[w[1]+" "+w[2]] = rest(3)
		case "listed":
			if f.Listed == nil {
				f.Listed = &topology.Listed{}
			}
			o := topology.Object{Kind: topology.Kind(w[1]), Name: w[2], Durable: true}
			if o.Kind == topology.KindBinding {
				f.Listed.Bindings = true
				o.Exchange, o.Key, o.Name = w[2], w[3], w[4]
			} else if err := json.Unmarshal([]byte(rest(3)), &o.Args); err != nil {
				t.Fatal(err)
			}
			if o.Kind == topology.KindExchange {
				o.Type = "direct"
			}
			f.Listed.Objects = append(f.Listed.Objects, o)
		default:
			t.Fatalf("what is %q?", line)
		}
	}
	for _, m := range []map[string]amqp.Seen{f.Exchanges, f.Queues} {
		for _, name := range names {
			if _, told := m[name]; !told {
				m[name] = amqp.Seen{Presence: amqp.Missing}
			}
		}
	}
	return f
}

// names are those of the golden file.
var names = []string{
	"mail", "orders", "magne.v1.dead.mail", "magne.v1.dead.orders", "MAGNE_HELLO", "magne.v1.dead.MAGNE_HELLO",
	"magne.v1.dead", "magne.v1.x",
}

func sameAll() map[string]amqp.Seen {
	all := map[string]amqp.Seen{}
	for _, n := range names {
		all[n] = amqp.Seen{Presence: amqp.Same, Exists: true}
	}
	return all
}
