package actors

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/supervisor/process"
)

// A worker that runs 8 tasks at once and writes down which it begins. The poison
// kills it at once the first time, and then when there is a file for its turn.
const crowdedWorker = `
import asyncio, os, signal, sys
import magne_worker
app = magne_worker.Worker(concurrency=8)
here = os.environ["RECORD"]

def begin(name):
    with open(here + "/begun", "a") as f:
        f.write(name + "\n")

@app.task
async def good(n):
    begin(str(n))
    await asyncio.sleep(0.005)

@app.task
async def poison():
    begin("poison")
    with open(here + "/begun") as f:
        turn = f.read().split().count("poison")
    while turn > 1 and not os.path.exists(here + "/turn%d" % turn):
        await asyncio.sleep(0.005)
    sys.stderr.write("last words of turn %d\n" % turn)
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGKILL)

app.run()
`

// crowd is a pool of two such workers.
type crowd struct {
	*rig
	dir    string
	finish func() error
	events map[supervisor.EventType]*atomic.Int64
}

func newCrowd(t *testing.T, change func(*Pool)) *crowd {
	t.Helper()
	c := &crowd{dir: t.TempDir(), events: map[supervisor.EventType]*atomic.Int64{}}
	for _, e := range []supervisor.EventType{EventQuarantined, EventCleared, EventConvicted} {
		c.events[e] = new(atomic.Int64)
	}
	script := filepath.Join(c.dir, "worker.py")
	if err := os.WriteFile(script, []byte(crowdedWorker), 0o600); err != nil {
		t.Fatal(err)
	}
	c.rig, c.finish = processRig(t, func(p *Pool) {
		p.High = 64
		p.Process.Concurrency = 8
		p.Process.Spec.Command = []string{"python3", "-S", script}
		p.Process.Spec.Env = append(p.Process.Spec.Env, "RECORD="+c.dir)
		if change != nil {
			change(p)
		}
	}, func(o *Options) {
		o.Observe = func(e supervisor.Event) {
			if n := c.events[e.Type]; n != nil {
				n.Add(1)
			}
		}
	})
	return c
}

// begun is how often each task has begun.
func (c *crowd) begun() map[string]int {
	text, err := os.ReadFile(filepath.Join(c.dir, "begun"))
	if err != nil && !os.IsNotExist(err) {
		c.t.Fatal(err)
	}
	n := map[string]int{}
	for name := range strings.FieldsSeq(string(text)) {
		n[name]++
	}
	return n
}

// let has the poison kill its worker in that turn.
func (c *crowd) let(turn int) {
	if err := os.WriteFile(fmt.Sprintf("%s/turn%d", c.dir, turn), nil, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// alone waits until the poison runs alone after that many deaths, and looks at what
// is told of it.
func (c *crowd) alone(lost int) {
	var task Task
	c.soon(fmt.Sprintf("the poison runs alone after %d deaths", lost), func() bool {
		for _, t := range c.system.Tasks() {
			if t.Name == "poison" && t.Lost == lost {
				task = t
				return true
			}
		}
		return false
	})
	if !task.Alone {
		c.t.Errorf("it is not alone: %+v", task)
	}
	for _, t := range c.system.Tasks() {
		if t.Worker == task.Worker && t.Name != "poison" {
			c.t.Errorf("beside it runs %+v", t)
		}
	}
	n := find(c.system.Tree(), task.Worker)
	if q := n.Quarantine; q == nil || !q.Kept || q.Lost != lost || q.Since == nil || n.Task != "poison" {
		c.t.Errorf("%s: task %q, quarantine %+v", task.Worker, n.Task, n.Quarantine)
	}
	if q := find(c.system.Tree(), "router:work").Quarantine; q == nil || q.Running != 1 {
		c.t.Errorf("router: quarantine %+v", q)
	}
}

// TestOnePoisonInACrowd: one message that kills its worker, among 1,000 good ones and
// 8 at once in each of two processes. It costs those beside it one more run and
// nobody else anything, and it alone is a dead letter.
func TestOnePoisonInACrowd(t *testing.T) {
	for _, maxLost := range []int{1, 3} {
		t.Run(fmt.Sprintf("max_lost %d", maxLost), func(t *testing.T) {
			c := newCrowd(t, func(p *Pool) { p.Process.MaxLost = maxLost })
			const good = 1000
			for i := range good {
				if i == 100 {
					c.task("poison", "poison", "")
				}
				c.task(fmt.Sprint(i), "good", fmt.Sprint(i))
			}
			c.alone(1)
			c.soon("the others do not wait for it", func() bool { return c.stats().Acked >= good-7 })
			last := max(maxLost, 2) // the first death convicts nobody
			for turn := 2; turn <= last; turn++ {
				c.alone(turn - 1)
				c.let(turn)
			}
			c.soon("all are settled", func() bool { s := c.stats(); return s.Acked == good && s.DeadLettered == 1 && s.InFlight == 0 })
			c.checkRuns(good, last)
			d := c.broker.Ready("dead")[0]
			for _, want := range []string{"SIGKILL", fmt.Sprintf("last words of turn %d", last)} {
				if a := fmt.Sprint(d.Headers[headerAutopsy]); !strings.Contains(a, want) {
					t.Errorf("autopsy %q lacks %q", a, want)
				}
			}
			if d.Headers[headerReason] != reasonLost || d.Headers[headerLost] != int64(last) {
				t.Errorf("headers %v", d.Headers)
			}
			if restarts := find(c.system.Tree(), "pool:work").Window.Restarts; restarts > 1 {
				t.Errorf("the supervisor has counted %d deaths of suspects", restarts)
			}
			c.expect(c.finish())
		})
	}
}

// checkRuns: the neighbours of the first death have run twice, the others once.
func (c *crowd) checkRuns(good, deaths int) {
	begun := c.begun()
	twice := 0
	for i := range good {
		switch n := begun[fmt.Sprint(i)]; n {
		case 1:
		case 2:
			twice++
		default:
			c.t.Errorf("task %d has begun %d times", i, n)
		}
	}
	s := c.stats()
	c.t.Logf("%d of %d good tasks were run twice; %d runs alone, %d cleared, %d convicted", twice, good, s.Quarantined, s.Cleared, s.Convicted)
	if begun["poison"] != deaths || twice > 7 {
		c.t.Errorf("the poison has begun %d times, want %d; %d good ones twice, want at most 7", begun["poison"], deaths, twice)
	}
	if s.Convicted != 1 || s.Cleared < int64(twice) || s.Cleared > 7 || s.Quarantined != s.Cleared+int64(deaths)-1 || s.Suspects != 0 {
		c.t.Errorf("%+v", s)
	}
	for e, want := range map[supervisor.EventType]int64{EventQuarantined: s.Quarantined, EventCleared: s.Cleared, EventConvicted: s.Convicted} {
		if got := c.events[e].Load(); got != want {
			c.t.Errorf("%d events %s, want %d", got, e, want)
		}
	}
	if n := find(c.system.Tree(), "router:work").Quarantine; n != nil {
		c.t.Errorf("at the end: %+v", n)
	}
}

// TestAnOnlyWorkerTakesTurns: with one process both suspects and others get on.
func TestAnOnlyWorkerTakesTurns(t *testing.T) {
	c := newCrowd(t, func(p *Pool) { p.Workers, p.Process.MaxLost = 1, 2 })
	const good = 200
	for i := range good {
		if i%100 == 20 {
			c.task(fmt.Sprintf("poison%d", i), "poison", "")
		}
		c.task(fmt.Sprint(i), "good", fmt.Sprint(i))
	}
	for turn := 2; turn <= 4; turn++ {
		c.let(turn)
	}
	c.soon("all are settled", func() bool { s := c.stats(); return s.Acked == good && s.DeadLettered == 2 && s.InFlight == 0 })
	for i := range good {
		if n := c.begun()[fmt.Sprint(i)]; n < 1 || n > 2 {
			t.Errorf("task %d has begun %d times", i, n)
		}
	}
	c.expect(c.finish())
}

// TestSuspectsOutliveTheirRouter: one that is restarted, or paused, gets them again.
func TestSuspectsOutliveTheirRouter(t *testing.T) {
	c := newCrowd(t, func(p *Pool) { p.WorkerShutdown = 200 * time.Millisecond })
	const good = 100
	for i := range good {
		if i == 50 {
			c.task("poison", "poison", "")
		}
		c.task(fmt.Sprint(i), "good", fmt.Sprint(i))
	}
	c.alone(1)
	c.expect(c.system.Restart(t.Context(), "router:work"))
	c.soon("it has begun once more", func() bool { return c.begun()["poison"] == 3 })
	c.alone(1)
	c.expect(c.system.Pause(t.Context(), "work"))
	c.soon("nothing waits, and no worker for it", func() bool {
		n := find(c.system.Tree(), "router:work")
		return c.stats().Queued == 0 && n.Quarantine != nil && n.Quarantine.Waiting == 0
	})
	c.expect(c.system.Resume(t.Context(), "work"))
	for turn := 3; turn <= 4; turn++ {
		c.let(turn)
	}
	c.soon("all are settled", func() bool { s := c.stats(); return s.Acked == good && s.DeadLettered == 1 && s.InFlight == 0 })
	if d := c.broker.Ready("dead")[0]; d.Headers[headerReason] != reasonLost || d.Headers[headerLost] != int64(3) {
		t.Errorf("headers %v", d.Headers)
	}
	c.expect(c.finish())
}

// TestQuarantineIsForCrowds: where each task is alone in its process anyway, or an
// operator does not want it, suspects wait with all others.
func TestQuarantineIsForCrowds(t *testing.T) {
	for _, tt := range []struct {
		pool Pool
		want bool
	}{
		{Pool{Mode: Process, Process: &process.Options{Concurrency: 2}}, true},
		{Pool{Mode: Process, Process: &process.Options{Concurrency: 2}, Quarantine: Quarantine{Slots: -1}}, false},
		{Pool{Mode: Process, Process: &process.Options{Pipeline: 2}}, false},
		{Pool{Mode: Oneshot, Slots: 2, Process: &process.Options{}}, false},
		{Pool{Mode: Coroutine, Slots: 2}, false},
	} {
		p := &pool{Pool: tt.pool.withDefaults()}
		p.latest.Store(p.Process)
		if got := p.quarantines(); got != tt.want {
			t.Errorf("%+v: %t", tt.pool, got)
		}
	}
}
