package supervisor

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/cockroachdb/datadriven"
)

// The files hold one machine each time "new" is called and then feed it events,
// one a line; the output is the actions that each of them leads to.
func TestMachine(t *testing.T) {
	datadriven.Walk(t, "testdata/machine", func(t *testing.T, path string) {
		var g *golden
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "new":
				g = newGolden(t, d)
				return ""
			case "events":
				var b strings.Builder
				for line := range strings.Lines(d.Input) {
					line = strings.TrimSpace(line)
					fmt.Fprintf(&b, "%-18s %s\n", line, g.feed(t, d, line))
				}
				return b.String()
			default:
				d.Fatalf(t, "unknown command %s", d.Cmd)
				return ""
			}
		})
	})
}

type golden struct {
	m      *machine
	now    time.Time
	timers map[int]int // child or -1 -> token of the newest timer
}

// newGolden reads arguments like
//
//	strategy=rest_for_one intensity=3 period=10s backoff=1s parallel
//	children=(a,b:transient,c:temporary:1s,d:permanent:infinity)
func newGolden(t *testing.T, d *datadriven.TestData) *golden {
	spec := Spec{Intensity: 100}
	var kids []Child
	for _, a := range d.CmdArgs {
		switch a.Key {
		case "strategy":
			spec.Strategy = strategies()[a.Vals[0]]
		case "intensity":
			spec.Intensity = atoi(t, a.Vals[0])
		case "period":
			spec.Period = dur(t, a.Vals[0])
		case "backoff":
			spec.Backoff = Backoff{Initial: dur(t, a.Vals[0])}
		case "parallel":
			spec.Parallel = true
		case "children":
			for _, v := range a.Vals {
				kids = append(kids, parseChild(t, v))
			}
		default:
			d.Fatalf(t, "unknown argument %s", a.Key)
		}
	}
	return &golden{m: machineOf(spec, kids...), now: time.Unix(0, 0), timers: map[int]int{}}
}

func strategies() map[string]Strategy {
	m := make(map[string]Strategy)
	for _, s := range []Strategy{OneForOne, OneForAll, RestForOne} {
		m[s.String()] = s
	}
	return m
}

func parseChild(t *testing.T, s string) Child {
	t.Helper()
	id, rest, _ := strings.Cut(s, ":")
	kind, shutdown, _ := strings.Cut(rest, ":")
	c := Child{ID: id, Restart: map[string]Restart{"": Permanent, "permanent": Permanent, "transient": Transient, "temporary": Temporary}[kind]}
	switch shutdown {
	case "":
	case "infinity":
		c.Shutdown = Infinity
	case "brutal":
		c.Shutdown = BrutalKill
	default:
		c.Shutdown = dur(t, shutdown)
	}
	return c
}

func machineOf(spec Spec, kids ...Child) *machine {
	for i := range kids {
		kids[i].Producer = func() actor.Actor { return nil }
	}
	n, err := newTree(&Child{ID: "sup", Supervisor: &spec, Children: kids})
	if err != nil {
		panic(err)
	}
	return newMachine(n, func() float64 { return 0.5 })
}

// feed understands "start", "stop", "wait 1s", "fire plan", and for a child with
// an optional older generation (b#1): up, fail, normal, shutdown, ending, fire.
func (g *golden) feed(t *testing.T, d *datadriven.TestData, line string) string {
	verb, arg, _ := strings.Cut(line, " ")
	var ev event
	switch verb {
	case "start":
		ev = evStart{}
	case "stop":
		ev = evStop{}
	case "wait":
		g.now = g.now.Add(dur(t, arg))
		return "-"
	case "fire":
		i := g.index(arg)
		ev = evTimer{i, g.timers[i]}
	default:
		ev = g.childEvent(t, d, verb, arg)
	}
	var out []string
	for _, a := range g.m.step(ev, g.now) {
		if a, ok := a.(actTimer); ok {
			g.timers[a.i] = a.token
		}
		out = append(out, g.format(a))
	}
	if len(out) == 0 {
		return "-"
	}
	return strings.Join(out, "; ")
}

func (g *golden) childEvent(t *testing.T, d *datadriven.TestData, verb, arg string) event {
	id, old, isOld := strings.Cut(arg, "#")
	i := g.index(id)
	gen := g.m.kids[i].gen
	if isOld {
		gen = atoi(t, old)
	}
	failed := Exit{Reason: Abnormal, Err: errors.New("boom")}
	switch verb {
	case "up":
		return evUp{i, gen}
	case "ending":
		return evEnding{i, gen, failed}
	case "fail":
		return evExit{i, gen, failed}
	case "normal":
		return evExit{i, gen, Exit{}}
	case "shutdown":
		return evExit{i, gen, Exit{Reason: Shutdown}}
	}
	d.Fatalf(t, "unknown event %s", verb)
	return nil
}

func (g *golden) index(id string) int {
	for i := range g.m.kids {
		if g.m.kids[i].id == id {
			return i
		}
	}
	return -1
}

func (g *golden) name(i, gen int) string { return g.m.kids[i].id + "#" + strconv.Itoa(gen) }

func (g *golden) format(a action) string {
	switch a := a.(type) {
	case actSpawn:
		return "spawn " + g.name(a.i, a.gen)
	case actUp:
		return "up " + g.name(a.i, a.gen)
	case actStop:
		return "ask " + g.name(a.i, a.gen)
	case actEnding:
		return "ending " + g.name(a.i, a.gen)
	case actAbandon:
		return "abandon " + g.name(a.i, a.gen)
	case actExit:
		return "exit " + g.name(a.i, a.gen) + " " + a.exit.Reason.String()
	case actBackoff:
		return fmt.Sprintf("restart %s in %v", g.name(a.i, a.gen), a.delay)
	case actTimer:
		if a.i < 0 {
			return fmt.Sprintf("plan timer %v", a.d)
		}
		return fmt.Sprintf("timer %s %v", g.m.kids[a.i].id, a.d)
	case actReady:
		return "ready"
	case actGiveUp:
		return "give up"
	case actFinish:
		if a.err != nil {
			return "finish: " + a.err.Error()
		}
		return "finish"
	}
	return fmt.Sprintf("%#v", a)
}

func dur(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
