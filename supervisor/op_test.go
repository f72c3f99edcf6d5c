package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/magne-actors/magne-actors/supervisor"
)

func TestScaleChangesTheNumberOfChildren(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.pool("p", 2, nil))
		ok(t, tr.sys.Scale(tr.t.Context(), "p", 4))
		want(t, tr.rest(), "+p/3, +p/4")
		ok(t, tr.sys.Scale(tr.t.Context(), "p", 4))
		ok(t, tr.sys.Terminate(tr.t.Context(), "p/1"))
		ok(t, tr.sys.Scale(tr.t.Context(), "p", 1)) // those with the highest numbers go
		tr.rest()
		if got := tr.ids("p"); got != "p/2" {
			t.Errorf("children: got %s", got)
		}
		ok(t, tr.sys.Scale(tr.t.Context(), "p", 3))
		want(t, tr.rest(), "+p/1, +p/3") // the lowest that are free
		if got := tr.ids("p"); got != "p/2 p/1 p/3" {
			t.Errorf("children: got %s", got)
		}
	})
}

func TestTheSizeOutlivesARestartOfTheSupervisor(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.pool("p", 1, func(s *supervisor.Spec) { s.Intensity = -1 }))
		ok(t, tr.sys.Scale(tr.t.Context(), "p", 3))
		tr.tell("p/1", crash{"x"})
		if got := tr.ids("p") + " " + tr.state("p") + " " + tr.state("p/3"); got != "p/1 p/2 p/3 up up" {
			t.Errorf("got %s", got)
		}
	})
}

func TestATemplateThatIsWrongChangesNothing(t *testing.T) {
	inBubble(t, func(tr *tree) {
		p := tr.pool("p", 2, nil)
		good := p.Template
		p.Template = func(n int) supervisor.Child {
			switch n {
			case 4:
				panic("no more")
			case 5:
				return tr.child("p/1")
			}
			return good(n)
		}
		tr.run(supervisor.Spec{}, p)
		for size, text := range map[int]string{4: "template(4): panic: no more", 5: "template(4)"} {
			if err := tr.sys.Scale(tr.t.Context(), "p", size); err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%d: got %v", size, err)
			}
		}
		if got := tr.ids("p"); got != "p/1 p/2" {
			t.Errorf("children: got %s", got)
		}
		ok(t, tr.sys.Scale(tr.t.Context(), "p", 3))

		sys := supervisor.NewSystem(nil)
		defer sys.Close()
		p.Size = 4
		if err := sys.Run(tr.t.Context(), "root", supervisor.Spec{}, p); err == nil {
			t.Error("Run: got nil")
		}
	})
}

func TestAfterFailedStartsOneChildAtATimeIsTried(t *testing.T) {
	inBubble(t, func(tr *tree) {
		var broken atomic.Bool
		broken.Store(true)
		p := tr.pool("p", 8, func(s *supervisor.Spec) {
			s.MaxStarting = 4
			s.Backoff = supervisor.Backoff{Initial: time.Second, Max: time.Second}
		}, func(c *supervisor.Child) {
			id := c.ID
			c.Producer = func() actor.Actor { return &lateProbe{probe: probe{tr: tr, id: id}, broken: broken.Load()} }
		})
		starting := func() int {
			n := 0
			for _, c := range tr.node("p").Children {
				if c.State == "starting" {
					n++
				}
			}
			return n
		}
		tr.run(supervisor.Spec{}, p)
		if got := starting(); got != 4 {
			t.Errorf("at first %d are starting, want 4", got)
		}
		pass(20 * time.Millisecond) // they fail, and the two that the first failures let in
		for range 300 {
			synctest.Wait()
			if got := starting(); got > 1 {
				t.Fatalf("then %d are starting, want at most 1", got)
			}
			pass(10 * time.Millisecond)
		}
		broken.Store(false)
		pass(2 * time.Second)
		synctest.Wait()
		if got := tr.state("p"); got != "up" {
			t.Errorf("state: got %s", got)
		}
	})
}

// lateProbe is a Starter that takes 10 ms.
type lateProbe struct {
	probe
	broken bool
}

func (p *lateProbe) Starts() {}

func (p *lateProbe) Receive(ctx actor.Context) {
	switch ctx.Message().(type) {
	case *actor.Started:
		root, self := ctx.ActorSystem().Root, ctx.Self()
		time.AfterFunc(10*time.Millisecond, func() { root.Send(self, late{}) })
	case late:
		if p.broken {
			panic("broken")
		}
		p.tr.note("+%s", p.id)
		supervisor.Ready(ctx)
		supervisor.Ready(ctx) // once more does no harm
	default:
		p.probe.Receive(ctx)
	}
}

type late struct{}

func TestAStarterIsUpWhenItSaysSo(t *testing.T) {
	inBubble(t, func(tr *tree) {
		c := tr.child("a")
		c.Producer = func() actor.Actor { return &lateProbe{probe: probe{tr: tr, id: "a"}} }
		want(t, tr.run(supervisor.Spec{}, c, tr.child("b")), "")
		if got := tr.state("a"); got != "starting" {
			t.Errorf("state: got %s, want starting", got)
		}
		pass(10 * time.Millisecond)
		want(t, tr.rest(), "+a, +b")
	})
}

// never is a Starter that is never up.
type never struct{ probe }

func (n *never) Starts() {}

func TestAChildThatIsNotUpInTimeHasFailed(t *testing.T) {
	inBubble(t, func(tr *tree) {
		c := tr.child("a")
		c.StartTimeout = 2 * time.Second
		c.Producer = func() actor.Actor { return &never{probe{tr: tr, id: "a"}} }
		want(t, tr.run(supervisor.Spec{Intensity: 1}, c), "+a")
		pass(2*time.Second - 1)
		want(t, tr.rest(), "")
		pass(1)
		want(t, tr.rest(), "-a, a: abnormal, +a")
		pass(2 * time.Second)
		err := <-tr.done
		if e, is := errors.AsType[*supervisor.ExhaustedError](err); !is || e.Last.Err.Error() != "start: not up within 2s" {
			t.Errorf("got %v", err)
		}
	})
}

func TestAChildWithAKillIsKilled(t *testing.T) {
	inBubble(t, func(tr *tree) {
		kill := func(c *supervisor.Child) {
			c.Kill = func(pid *actor.PID, generation int) {
				tr.note("kill %s %d", pid.Id, generation)
				if c.ID == "a" {
					tr.release()
				}
			}
		}
		tr.run(supervisor.Spec{}, tr.child("a", kill, shutdown(time.Second)), tr.child("b", kill, shutdown(supervisor.BrutalKill)))
		tr.tell("a", block{})
		tr.tell("b", block{})
		began := time.Now()
		tr.cancel()
		<-tr.done
		// b does not end even so; it is abandoned after 5 s. a is killed after 1 s.
		if got := time.Since(began); got != 6*time.Second {
			t.Errorf("got %v, want 6s", got)
		}
		diary := strings.Join(tr.rest(), ", ")
		if !strings.HasPrefix(diary, "kill b#1 1, b: shutdown, kill a#1 1") {
			t.Errorf("diary: %s", diary)
		}
	})
}

func TestAParkedSupervisorWaitsForAnOperator(t *testing.T) {
	inBubble(t, func(tr *tree) {
		park := supervisor.Spec{Intensity: -1, OnExhausted: supervisor.Park}
		tr.run(supervisor.Spec{Strategy: supervisor.RestForOne, Intensity: -1}, tr.child("a"), tr.sup("s", park, tr.child("b")), tr.child("c"))
		want(t, tr.tell("b", crash{"x"}), "-b, b: abnormal, s: shutdown")
		if e := tr.lastExit(); !e.Parked {
			t.Errorf("exit: got %+v", e)
		}
		if n := tr.node("s"); n.State != "failed" || n.Detail != "parked" || n.LastError == "" {
			t.Errorf("node: got %s %s %q", n.State, n.Detail, n.LastError)
		}
		if err := tr.sys.Restart(tr.t.Context(), "b"); !errors.Is(err, supervisor.ErrNotRunning) {
			t.Errorf("a child of it: got %v", err)
		}
		ok(t, tr.sys.Restart(tr.t.Context(), "s"))
		want(t, tr.rest(), "+b")
		if n := tr.node("s"); n.State != "up" || n.Detail != "one_for_one" {
			t.Errorf("node: got %s %s", n.State, n.Detail)
		}
		tr.tell("b", crash{"x"})
		ok(t, tr.sys.Terminate(tr.t.Context(), "s"))
		if n := tr.node("s"); n.State != "down" || n.Detail != "one_for_one" {
			t.Errorf("node: got %s %s", n.State, n.Detail)
		}
	})
}

func TestARestartNeedNotWaitForTheBackoff(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Backoff: supervisor.Backoff{Initial: time.Hour}}, tr.child("a"))
		want(t, tr.tell("a", crash{"x"}), "-a, a: abnormal")
		until := time.Now().Add(time.Hour)
		if n := tr.node("a"); n.State != "backoff" || n.Until == nil || !n.Until.Equal(until) {
			t.Errorf("node: got %s until %v, want backoff until %v", n.State, n.Until, until)
		}
		ok(t, tr.sys.Restart(tr.t.Context(), "a"))
		want(t, tr.rest(), "+a")
		if n := tr.node("a"); n.Until != nil {
			t.Errorf("it is up and waits until %v", n.Until)
		}
		pass(2 * time.Hour)
		want(t, tr.rest(), "")
	})
}

func TestATerminatedChildWaitsForNoBackoff(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Backoff: supervisor.Backoff{Initial: time.Hour}}, tr.child("a"))
		want(t, tr.tell("a", crash{"x"}), "-a, a: abnormal")
		ok(t, tr.sys.Terminate(tr.t.Context(), "a"))
		if got := tr.state("a"); got != "down" {
			t.Errorf("state: got %s", got)
		}
		pass(2 * time.Hour)
		want(t, tr.rest(), "")
	})
}

func TestACallReturnsWhenItsContextIsDone(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.child("a", shutdown(time.Hour)))
		tr.tell("a", block{})
		ctx, cancel := context.WithTimeout(tr.t.Context(), time.Second)
		defer cancel()
		if err := tr.sys.Restart(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		tr.release()
		want(t, tr.rest(), "-a, a: shutdown, +a") // it goes on nevertheless
	})
}

func TestACallThatWasGivenUpInTimeLeavesNoTrace(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.child("a", func(c *supervisor.Child) {
			c.Down = func(supervisor.Exit) { <-tr.held } // it must not block; thus the supervisor is busy
		}))
		tr.tell("a", crash{"x"})
		ctx, cancel := context.WithTimeout(tr.t.Context(), time.Second)
		defer cancel()
		if err := tr.sys.Add(ctx, "root", tr.child("b")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if tr.sys.Inspect("b") != nil {
			t.Error("b is known although nobody took it up")
		}
		tr.release()
		want(t, tr.rest(), "+a")
		ok(t, tr.sys.Add(tr.t.Context(), "root", tr.child("b")))
	})
}

func TestACallToASupervisorThatStopsIsRefused(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.child("a", shutdown(supervisor.Infinity)), tr.child("b"))
		tr.tell("a", block{})
		tr.stop()
		for _, call := range []func() error{
			func() error { return tr.sys.Restart(tr.t.Context(), "b") },
			func() error { return tr.sys.Add(tr.t.Context(), "root", tr.child("c")) },
		} {
			if err := call(); err == nil || !strings.Contains(err.Error(), "its supervisor is stopping") {
				t.Errorf("got %v", err)
			}
		}
		tr.release()
		<-tr.done
		if err := tr.sys.Add(tr.t.Context(), "root", tr.child("c")); !errors.Is(err, supervisor.ErrNotRunning) {
			t.Errorf("got %v", err)
		}
		if tr.sys.Inspect("c") != nil {
			t.Error("c was refused and is known")
		}
	})
}

func TestACallThatWaitsIsToldOfTheEnd(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.sup("s", supervisor.Spec{}, tr.child("a", shutdown(time.Hour))))
		tr.tell("a", block{})
		errs := make(chan error, 1)
		go func() { errs <- tr.sys.Terminate(tr.t.Context(), "a") }()
		synctest.Wait()
		tr.sys.Send(tr.pid("s"), supervisor.Malformed)
		if err := <-errs; !errors.Is(err, supervisor.ErrNotRunning) {
			t.Errorf("got %v", err)
		}
	})
}

func TestTheRootIsNobodysChild(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.child("a"))
		if err := tr.sys.Restart(tr.t.Context(), "root"); err == nil {
			t.Error("got nil")
		}
		if err := tr.sys.Add(tr.t.Context(), "a", tr.child("b")); err == nil || !strings.Contains(err.Error(), "not a supervisor") {
			t.Errorf("got %v", err)
		}
	})
}

func TestAnAbandonedChildThatIsRemovedIsCountedAboveIt(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.child("a", shutdown(time.Second)), tr.child("b"))
		tr.tell("a", block{})
		ok(t, tr.sys.Remove(tr.t.Context(), "a"))
		if n := tr.node("root"); tr.ids("root") != "b" || n.Abandoned == nil || *n.Abandoned != 1 {
			t.Errorf("got %s, %v abandoned", tr.ids("root"), n.Abandoned)
		}
		tr.release()
		tr.rest()
		if n := tr.node("root"); n.Abandoned != nil {
			t.Errorf("got %v abandoned", *n.Abandoned)
		}
	})
}

// Operators who do not know of each other, and children that fail meanwhile.
func TestManyOperatorsAtTheSameTime(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Intensity: 100_000}, tr.sup("s", supervisor.Spec{Strategy: supervisor.RestForOne, Intensity: 100_000}, tr.child("fixed")), tr.pool("p", 2, nil))
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				id := fmt.Sprintf("c%d", i)
				for n := range 20 {
					ok(t, tr.sys.Add(tr.t.Context(), "s", tr.child(id)))
					tr.sys.Send(tr.pid(id), crash{"x"})
					tr.sys.Snapshot()
					tr.sys.Restart(tr.t.Context(), id)     // may meet the crash
					tr.sys.Scale(tr.t.Context(), "p", n%4) // another may take back what it adds
					ok(t, tr.sys.Remove(tr.t.Context(), id))
				}
			})
		}
		wg.Wait()
		tr.rest()
		ok(t, tr.sys.Scale(tr.t.Context(), "p", 3))
		if got := tr.ids("s") + " " + tr.state("fixed") + fmt.Sprint(len(tr.node("p").Children)); got != "fixed up3" {
			t.Errorf("got %s", got)
		}
	})
}
