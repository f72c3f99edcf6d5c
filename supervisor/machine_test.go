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
	reqs   int
	nodes  map[int]*node // by key
}

// newGolden reads arguments like
//
//	strategy=rest_for_one intensity=3 period=10s backoff=1s parallel auto=any starting=2
//	children=(a,b:transient,c:temporary:1s,d:permanent:infinity)
//
// A child may have more words: significant, timeout (of 2 s, to be up), kill, parks,
// topples.
// A dynamic supervisor has children called 1, 2, ...
func newGolden(t *testing.T, d *datadriven.TestData) *golden {
	spec := Spec{Intensity: 100, MaxStarting: 2}
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
		case "auto":
			spec.AutoShutdown = map[string]AutoShutdown{"any": AnySignificant, "all": AllSignificant}[a.Vals[0]]
		case "starting":
			spec.MaxStarting = atoi(t, a.Vals[0])
		case "children":
			for _, v := range a.Vals {
				kids = append(kids, parseChild(t, v))
			}
		default:
			d.Fatalf(t, "unknown argument %s", a.Key)
		}
	}
	g := &golden{m: machineOf(spec, kids...), now: time.Unix(0, 0), timers: map[int]int{}, nodes: map[int]*node{}}
	for _, k := range g.m.kids {
		g.nodes[k.key] = &node{id: k.id}
	}
	return g
}

func strategies() map[string]Strategy {
	m := make(map[string]Strategy)
	for _, s := range []Strategy{OneForOne, OneForAll, RestForOne, Dynamic} {
		m[s.String()] = s
	}
	return m
}

func parseChild(t *testing.T, s string) Child {
	t.Helper()
	id, words, _ := strings.Cut(s, ":")
	c := Child{ID: id, Producer: func() actor.Actor { return nil }}
	for word := range strings.SplitSeq(words, ":") {
		switch word {
		case "", "permanent":
		case "transient":
			c.Restart = Transient
		case "temporary":
			c.Restart = Temporary
		case "infinity":
			c.Shutdown = Infinity
		case "brutal":
			c.Shutdown = BrutalKill
		case "significant":
			c.Significant = true
		case "timeout":
			c.StartTimeout = 2 * time.Second
		case "kill":
			c.Kill = func(*actor.PID, int) {}
		case "parks":
			c.Producer, c.Supervisor = nil, &Spec{OnExhausted: Park}
		case "topples":
			c.Producer, c.Supervisor = nil, &Spec{OnExhausted: EscalateAtOnce}
		default:
			c.Shutdown = dur(t, word)
		}
	}
	return c
}

// machineOf makes a machine without a tree around it. The first child of a
// dynamic one is in slot 1.
func machineOf(spec Spec, kids ...Child) *machine {
	n := nodeOf(&Child{ID: "sup", Supervisor: &spec}, 0)
	o := &offspring{}
	for i := range kids {
		o.kids = append(o.kids, nodeOf(&kids[i], i+1))
	}
	n.offspring.Store(o)
	return newMachine(n, func() float64 { return 0.5 })
}

func nodeOf(c *Child, slot int) *node {
	n := &node{id: c.ID, spec: c, slot: slot}
	n.offspring.Store(&offspring{})
	return n
}

// feed understands "start", "stop", "wait 1s", "fire plan", and for a child with
// an optional older generation (b#1): up, fail, normal, shutdown, ending, fire,
// exhausted. What operators ask for is "add c:transient", "terminate a", "remove
// a", "restart a" and, for a dynamic supervisor, "scale 3"; the first is 1.
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
	case "add", "terminate", "remove", "restart", "scale":
		ev = g.request(t, verb, arg)
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

func (g *golden) request(t *testing.T, verb, arg string) event {
	g.reqs++
	switch verb {
	case "add":
		c := parseChild(t, arg)
		return evAdd{g.reqs, []*node{nodeOf(&c, 0)}}
	case "terminate":
		return evTerminate{req: g.reqs, i: g.index(arg)}
	case "remove":
		return evTerminate{g.reqs, g.index(arg), true}
	case "restart":
		return evRestart{g.reqs, g.index(arg)}
	}
	size := atoi(t, arg)
	missing := size - len(g.m.slots())
	if missing <= 0 {
		return evShrink{g.reqs, size}
	}
	ev := evAdd{req: g.reqs}
	for _, slot := range g.m.free(missing) {
		c := parseChild(t, strconv.Itoa(slot))
		ev.kids = append(ev.kids, nodeOf(&c, slot))
	}
	return ev
}

func (g *golden) childEvent(t *testing.T, d *datadriven.TestData, verb, arg string) event {
	id, old, isOld := strings.Cut(arg, "#")
	i := g.index(id)
	gen := 0
	if p, found := g.m.find(i); found {
		gen = g.m.kids[p].gen
	}
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
	case "exhausted":
		return evExit{i, gen, Exit{Reason: Shutdown, Err: &ExhaustedError{Supervisor: id}}}
	case "fatal":
		return evExit{i, gen, Exit{Reason: Abnormal, Err: fmt.Errorf("start: %w", Fatal(errors.New("no such task")))}}
	case "fatalbelow":
		return evExit{i, gen, Exit{Reason: Shutdown, Err: &ExhaustedError{Supervisor: id, Last: Exit{Err: Fatal(errors.New("no such task"))}}}}
	case "normal":
		return evExit{i, gen, Exit{}}
	case "shutdown":
		return evExit{i, gen, Exit{Reason: Shutdown}}
	}
	d.Fatalf(t, "unknown event %s", verb)
	return nil
}

// index is the key of a child.
func (g *golden) index(id string) int {
	for _, k := range g.m.kids {
		if k.id == id {
			return k.key
		}
	}
	return -1
}

func (g *golden) name(i, gen int) string { return g.nodes[i].id + "#" + strconv.Itoa(gen) }

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
	case actKill:
		return "kill " + g.name(a.i, a.gen)
	case actAbandon:
		return "abandon " + g.name(a.i, a.gen)
	case actExit:
		if a.exit.Parked {
			return "park " + g.name(a.i, a.gen)
		}
		return "exit " + g.name(a.i, a.gen) + " " + a.exit.Reason.String()
	case actBackoff:
		return fmt.Sprintf("restart %s in %v", g.name(a.i, a.gen), a.delay)
	case actTimer:
		if a.i < 0 {
			return fmt.Sprintf("plan timer %v", a.d)
		}
		return fmt.Sprintf("timer %s %v", g.nodes[a.i].id, a.d)
	case actDown:
		return "down " + g.name(a.i, a.gen)
	case actCount:
		return fmt.Sprintf("count %d/%d", g.m.win.Count(g.now), g.m.spec.Intensity)
	case actReady:
		return "ready"
	case actGiveUp:
		if fatal(a.err.Last.Err) {
			return "give up at once"
		}
		return "give up"
	case actAdd:
		g.nodes[a.i] = a.node
		return "add " + a.node.id
	case actRemove:
		return "remove " + g.nodes[a.i].id
	case actReply:
		if a.err != nil {
			return fmt.Sprintf("reply %d: %v", a.req, a.err)
		}
		return fmt.Sprintf("reply %d", a.req)
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
