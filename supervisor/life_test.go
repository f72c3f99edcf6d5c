package supervisor_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/google/go-cmp/cmp"

	"github.com/magne-actors/magne-actors/supervisor"
)

func TestBackoffBeforeARestart(t *testing.T) {
	inBubble(t, func(tr *tree) {
		backoff := supervisor.Backoff{Initial: time.Second, Max: 3 * time.Second, ResetAfter: time.Minute}
		tr.run(supervisor.Spec{Intensity: often, Backoff: backoff}, tr.child("a"), tr.child("b"))
		for _, wait := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 3 * time.Second} {
			want(t, tr.tell("a", crash{"x"}), "-a, a: abnormal")
			if n := tr.node("a"); n.State != "backoff" || n.LastError != "panic: x" {
				t.Errorf("node: got %s %q", n.State, n.LastError)
			}
			want(t, tr.tell("b", "on with it"), "b got on with it")
			pass(wait - 1)
			want(t, tr.rest(), "")
			pass(1)
			want(t, tr.rest(), "+a")
		}
		pass(time.Minute)
		want(t, tr.tell("a", crash{"x"}), "-a, a: abnormal")
		pass(time.Second)
		want(t, tr.rest(), "+a") // it had been up for long enough
	})
}

func TestBackoffOfAGroup(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Strategy: supervisor.RestForOne, Backoff: supervisor.Backoff{Initial: time.Second}},
			tr.child("a"), tr.child("b"), tr.child("c"))
		want(t, tr.tell("b", crash{"x"}), "-b, b: abnormal, -c, c: shutdown")
		if got := []string{tr.state("a"), tr.state("b"), tr.state("c"), tr.state("root")}; !cmp.Equal(got, []string{"up", "backoff", "down", "up"}) {
			t.Errorf("states: %v", got)
		}
		pass(time.Second)
		want(t, tr.rest(), "+b, +c")
	})
}

func TestAnExitHasTheMessageAndTheStack(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.child("a"))
		tr.tell("a", crash{errBoom})
		e := tr.lastExit()
		p, ok := errors.AsType[*supervisor.PanicError](e.Err)
		if !ok || !errors.Is(e.Err, errBoom) || e.ID != "a" || e.Generation != 1 || e.Message != (crash{errBoom}) {
			t.Fatalf("exit: got %+v", e)
		}
		if !strings.Contains(string(p.Stack), "(*probe).Receive") {
			t.Errorf("the stack does not show where it panicked:\n%s", p.Stack)
		}
		if (&supervisor.PanicError{Value: "two\nlines"}).Error() != "panic: two" {
			t.Error("the text has more than one line")
		}
	})
}

func TestGoexitInReceiveIsNoticed(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.child("a"))
		want(t, tr.tell("a", goexit{}), "-a, a: abnormal, +a")
		if e := tr.lastExit(); e.Err == nil || e.Message != (goexit{}) {
			t.Errorf("exit: got %+v", e)
		}
		want(t, tr.tell("a", "hello"), "a got hello")
	})
}

// ends is an actor that fails in its last two messages.
func ends(tr *tree, id string, stopping, stopped func()) func() actor.Actor {
	return func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			switch m := ctx.Message().(type) {
			case *actor.Started:
				tr.note("+%s", id)
			case *actor.Stopping:
				stopping()
			case *actor.Stopped:
				stopped()
			case crash:
				panic(m.value)
			}
		})
	}
}

func TestAFailureInStoppingOrStoppedHangsNothing(t *testing.T) {
	nothing, boom := func() {}, func() { panic("at the end") }
	for name, end := range map[string][2]func(){
		"panic in Stopping":  {boom, nothing},
		"panic in Stopped":   {nothing, boom},
		"Goexit in Stopping": {runtime.Goexit, nothing},
		"Goexit in Stopped":  {nothing, runtime.Goexit},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(tr *tree) {
				c := tr.child("a")
				c.Producer = ends(tr, "a", end[0], end[1])
				tr.run(supervisor.Spec{}, c)
				want(t, tr.tell("a", crash{"first"}), "a: abnormal, +a")
				if e := tr.lastExit(); e.Err.Error() != "panic: first" {
					t.Errorf("exit: got %v, want the first reason", e.Err)
				}
				diary, err := tr.stop()
				want(t, diary, "a: abnormal")
				if err != nil {
					t.Errorf("Run: got %v", err)
				}
			})
		})
	}
}

func TestAnAbandonedActorDoesNotHoldUpItsSuccessor(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Strategy: supervisor.OneForAll, Intensity: often}, tr.child("a"), tr.child("b", shutdown(time.Second)))
		old := tr.pid("b")
		tr.tell("b", block{})
		want(t, tr.tell("a", crash{"x"}), "-a, a: abnormal")
		pass(time.Second)
		want(t, tr.rest(), "b: shutdown, +a, +b")
		if tr.pid("b").Id == old.Id {
			t.Errorf("both incarnations are called %s", old.Id)
		}
		if n := tr.node("b"); n.State != "up" || *n.Abandoned != 1 || *n.Restarts != 1 {
			t.Errorf("node: got %s, %d abandoned, %d restarts", n.State, *n.Abandoned, *n.Restarts)
		}
		tr.sys.Send(old, "to the old one")
		want(t, tr.tell("b", "to the new one"), "b got to the new one")
		tr.release()
		want(t, tr.rest(), "-b")
		if n := tr.node("b"); n.State != "up" || n.Abandoned != nil {
			t.Errorf("node: got %s, abandoned %v", n.State, n.Abandoned)
		}
	})
}

func TestAnActorStoppedByAnybodyIsANormalExit(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Intensity: often}, tr.child("a"))
		want(t, tr.tell("a", call(func(ctx actor.Context) { ctx.Stop(ctx.Self()) })), "-a, a: normal, +a")
		want(t, tr.tell("a", &actor.PoisonPill{}), "-a, a: normal, +a")
	})
}

func TestAnActorWithChildrenOfItsOwnIsDownWhenTheyAre(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.child("a"))
		tr.tell("a", call(func(ctx actor.Context) {
			pid := ctx.Spawn(actor.PropsFromProducer(func() actor.Actor { return &probe{tr: tr, id: "own"} }))
			ctx.Send(pid, block{})
		}))
		want(t, tr.tell("a", quit{}), "")
		if got := tr.state("a"); got != "stopping" {
			t.Errorf("state: got %s, want stopping", got)
		}
		tr.release()
		want(t, tr.rest(), "-own, -a, a: normal, +a")
	})
}

func TestWhatIsQueuedIsDroppedAtTheEnd(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.child("a"))
		tr.tell("a", block{})
		tr.tell("a", crash{"x"})
		tr.tell("a", "too late")
		tr.release()
		want(t, tr.rest(), "-a, a: abnormal, +a")
	})
}

func TestAContinuationIsDroppedAtTheEnd(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Intensity: often}, tr.child("a"))
		reenter := func(then func()) call {
			return func(ctx actor.Context) {
				f := actor.NewFuture(ctx.ActorSystem(), time.Hour)
				ctx.ReenterAfter(f, func(any, error) { tr.note("reentered") })
				ctx.Send(f.PID(), "result")
				then()
			}
		}
		want(t, tr.tell("a", reenter(func() {})), "reentered")
		want(t, tr.tell("a", reenter(func() { panic("x") })), "-a, a: abnormal, +a")
	})
}

func TestASupervisorThatIsStoppedByAnybodyStopsItsChildren(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.sup("s", supervisor.Spec{}, tr.child("a"), tr.child("b")))
		want(t, tr.tell("s", &actor.PoisonPill{}), "-b, b: shutdown, -a, a: shutdown, s: shutdown, +a, +b")
	})
}

func TestASupervisorThatFailsItselfIsRestartedWithItsChildren(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.sup("s", supervisor.Spec{}, tr.child("a"), tr.sup("r", supervisor.Spec{}, tr.child("b"))))
		diary := strings.Join(tr.tell("s", supervisor.Malformed), ", ")
		for _, w := range []string{"-a", "-b", "s: abnormal", "+a", "+b"} {
			if strings.Count(diary, w) != 1 {
				t.Errorf("%q is not there once: %s", w, diary)
			}
		}
		for _, id := range []string{"a", "r", "b"} {
			if n := tr.node(id); n.State != "up" || n.Abandoned != nil || *n.Restarts != 1 {
				t.Errorf("%s: got %s, abandoned %v, %d restarts", id, n.State, n.Abandoned, *n.Restarts)
			}
		}
		want(t, tr.tell("a", "hello"), "a got hello")
	})
}

func TestGenerationsGoOnWhenTheSupervisorIsRestarted(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Intensity: often}, tr.sup("s", supervisor.Spec{Intensity: -1}, tr.child("a")))
		for generation := 1; generation <= 3; generation++ {
			tr.tell("a", crash{"x"})
			tr.mu.Lock()
			got := tr.exits[len(tr.exits)-2] // the supervisor's own is the last
			tr.mu.Unlock()
			if got.ID != "a" || got.Generation != generation {
				t.Errorf("got %s#%d, want a#%d", got.ID, got.Generation, generation)
			}
		}
		if n := tr.node("a"); *n.Restarts != 3 {
			t.Errorf("restarts: got %d, want 3", *n.Restarts)
		}
	})
}

func TestAPanicOfTheProducerIsAFailedStart(t *testing.T) {
	inBubble(t, func(tr *tree) {
		c := tr.child("a")
		ok := c.Producer
		n := 0
		c.Producer = func() actor.Actor {
			if n++; n == 1 {
				panic("no actor")
			}
			return ok()
		}
		want(t, tr.run(supervisor.Spec{}, c), "+a") // Down is for what had been spawned
		if n := tr.node("a"); n.LastError != "start: panic: no actor" || *n.Restarts != 1 {
			t.Errorf("node: got %q, %d restarts", n.LastError, *n.Restarts)
		}
	})
}

func TestAPanicOfACallbackFailsNobody(t *testing.T) {
	inBubble(t, func(tr *tree) {
		boom := func() { panic("callback") }
		want(t, tr.run(supervisor.Spec{Intensity: -1}, tr.child("a", func(c *supervisor.Child) {
			c.Up = func(*actor.PID, int) { boom() }
			c.Down = func(supervisor.Exit) { boom() }
			c.Inspect = func(*supervisor.Node) { boom() }
		})), "+a")
		if n := tr.node("a"); n.State != "up" || n.LastError != "inspect: panic: callback" {
			t.Errorf("node: got %s %q", n.State, n.LastError)
		}
		if diary, err := tr.stop(); err != nil || strings.Join(diary, "") != "-a" {
			t.Errorf("got %v, %v", diary, err)
		}
		if got := strings.Count(strings.Join(tr.logs.lines("stack"), "\n"), "ERROR callback failed actor=a err=panic: callback stack"); got != 2 {
			t.Errorf("the log has %d lines about it, want 2", got)
		}
	})
}

func TestEachEventIsLoggedOnce(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Intensity: 1, Backoff: supervisor.Backoff{Initial: time.Second}}, tr.child("a"))
		tr.tell("a", crash{"x"})
		pass(time.Second)
		synctest.Wait()
		tr.tell("a", quit{errBoom})
		<-tr.done
		got := strings.Join(tr.logs.lines("stack"), "\n")
		want := `DEBUG child started actor=a generation=1
ERROR child failed actor=a generation=1 err=panic: x stack
WARN child will be restarted actor=a generation=1 restart_in=1s
DEBUG child started actor=a generation=2
ERROR child failed actor=a generation=2 err=boom
ERROR supervisor gave up actor=root generation=1 err=supervisor: root gave up: more than 1 restarts in 5s; last a: boom`
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("log (-want +got):\n%s", d)
		}
	})
}

func TestMessagesToTheDeadAreQuiet(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.child("a"), tr.child("b"))
		old := tr.pid("a")
		tr.tell("a", crash{"x"})
		before := len(tr.logs.lines())
		for range 100 {
			tr.sys.Send(old, "hello")
		}
		tr.sys.Send(nil, "nobody")
		if after := len(tr.logs.lines()); after != before {
			t.Errorf("%d lines were logged", after-before)
		}
		// Who asks or watches still gets an answer.
		want(t, tr.tell("b", call(func(ctx actor.Context) {
			ctx.Watch(old)
			if _, err := ctx.RequestFuture(old, "hello", time.Second).Result(); !errors.Is(err, actor.ErrDeadLetter) {
				t.Errorf("request: got %v", err)
			}
		})), "b watched the dead")
	})
}

func TestRunIsForOneTime(t *testing.T) {
	inBubble(t, func(tr *tree) {
		if tr.sys.Snapshot() != nil {
			t.Error("there is a tree before Run")
		}
		tr.run(supervisor.Spec{}, tr.child("a"))
		if err := tr.sys.Run(t.Context(), "root", supervisor.Spec{}); err == nil {
			t.Error("the second Run: got nil")
		}
		tr.stop()
		tr.sys.Close()
		tr.sys.Close() // twice does no harm
	})
}

func TestWrongSpecificationsAreRefused(t *testing.T) {
	producer := func() actor.Actor { return nil }
	sup := &supervisor.Spec{}
	for name, c := range map[string]supervisor.Child{
		"no id":                {Producer: producer},
		"the root's id":        {ID: "root", Producer: producer},
		"no producer":          {ID: "a"},
		"both":                 {ID: "a", Producer: producer, Supervisor: sup},
		"children of a worker": {ID: "a", Producer: producer, Children: []supervisor.Child{{ID: "b", Producer: producer}}},
		"shutdown":             {ID: "a", Producer: producer, Shutdown: -3},
		"restart type":         {ID: "a", Producer: producer, Restart: 9},
		"strategy":             {ID: "a", Supervisor: &supervisor.Spec{Strategy: 9}},
		"intensity":            {ID: "a", Supervisor: &supervisor.Spec{Intensity: 1 << 40}},
		"period":               {ID: "a", Supervisor: &supervisor.Spec{Period: -1}},
	} {
		t.Run(name, func(t *testing.T) {
			sys := supervisor.NewSystem(nil)
			defer sys.Close()
			if err := sys.Run(t.Context(), "root", supervisor.Spec{}, c); err == nil || !strings.HasPrefix(err.Error(), "supervisor: ") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAnEmptyTreeIsUpAndStops(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{})
		if got := tr.state("root"); got != "up" {
			t.Errorf("state: got %s", got)
		}
		if _, err := tr.stop(); err != nil {
			t.Errorf("Run: got %v", err)
		}
		if got := tr.state("root"); got != "down" {
			t.Errorf("state: got %s", got)
		}
	})
}

// pass lets the bubble's time pass.
func pass(d time.Duration) { <-time.After(d) }
