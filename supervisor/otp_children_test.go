package supervisor_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/magne-actors/magne-actors/supervisor"
)

// start_child, terminate_child, restart_child, delete_child and
// simple_one_for_one, sentence by sentence; see otp_test.go.

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// ids are the children of a node, in order.
func (tr *tree) ids(id string) string {
	var ids []string
	for _, c := range tr.node(id).Children {
		ids = append(ids, c.ID)
	}
	return strings.Join(ids, " ")
}

func TestStartChildAddsASpecificationAndStartsTheChild(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.child("a"), tr.sup("s", supervisor.Spec{Strategy: supervisor.OneForAll}, tr.child("s1")))
		ok(t, tr.sys.Add(tr.t.Context(), "s", tr.child("s2")))
		want(t, tr.rest(), "+s2")
		want(t, tr.tell("s1", crash{"x"}), "-s1, s1: abnormal, -s2, s2: shutdown, +s1, +s2")
		ok(t, tr.sys.Add(tr.t.Context(), "root", tr.sup("r", supervisor.Spec{}, tr.child("r1"))))
		want(t, tr.rest(), "+r1")
		if got := tr.ids("root"); got != "a s r" {
			t.Errorf("children: got %s", got)
		}
		diary, _ := tr.stop()
		want(t, diary, "-r1, r1: shutdown, r: shutdown, -s2, s2: shutdown, -s1, s1: shutdown, s: shutdown, -a, a: shutdown")
	})
}

func TestStartChildWithAnIdentifierThatExistsIsDiscarded(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.child("a"), tr.sup("s", supervisor.Spec{}, tr.child("b")))
		for _, c := range []supervisor.Child{tr.child("a"), tr.child("b"), tr.sup("new", supervisor.Spec{}, tr.child("c"), tr.child("b"))} {
			if err := tr.sys.Add(tr.t.Context(), "root", c); err == nil {
				t.Errorf("%s was added", c.ID)
			}
		}
		ok(t, tr.sys.Add(tr.t.Context(), "root", tr.child("c"))) // what was refused left no trace
	})
}

func TestStartChildThatFailsIsDiscarded(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Strategy: supervisor.RestForOne, Intensity: -1}, tr.child("a"))
		err := tr.sys.Add(tr.t.Context(), "root", tr.failing("b", 1))
		if p, is := errors.AsType[*supervisor.PanicError](err); !is || p.Value != "cannot start" {
			t.Errorf("got %v", err)
		}
		want(t, tr.rest(), "!b, b: abnormal")
		if got := tr.ids("root"); got != "a" {
			t.Errorf("children: got %s", got)
		}
		c := tr.child("b")
		c.Producer = func() actor.Actor { panic("no actor") }
		if err := tr.sys.Add(tr.t.Context(), "root", c); err == nil {
			t.Error("an actor that cannot be made was added")
		}
		ok(t, tr.sys.Add(tr.t.Context(), "root", tr.child("b")))
	})
}

func TestStartChildThatReturnsIgnoreIsKept(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.child("a"))
		ok(t, tr.sys.Add(tr.t.Context(), "root", tr.ignoring("b")))
		want(t, tr.rest(), "+b, -b, b: normal")
		if got := tr.ids("root") + " " + tr.state("b"); got != "a b down" {
			t.Errorf("got %s", got)
		}
	})
}

// ignoring is a transient child that ends normally in Started.
func (tr *tree) ignoring(id string) supervisor.Child {
	return tr.child(id, restartType(supervisor.Transient), func(c *supervisor.Child) {
		c.Producer = func() actor.Actor {
			p := &probe{tr: tr, id: id}
			return actor.ReceiveFunc(func(ctx actor.Context) {
				p.Receive(ctx)
				if _, started := ctx.Message().(*actor.Started); started {
					supervisor.Quit(ctx, nil)
				}
			})
		}
	})
}

func TestAChildWhoseStartReturnsIgnoreKeepsNobodyFromStarting(t *testing.T) {
	inBubble(t, func(tr *tree) {
		diary := tr.run(supervisor.Spec{}, tr.ignoring("a"), tr.child("b"))
		slices.Sort(diary) // a ends while b starts
		want(t, diary, "+a, +b, -a, a: normal")
	})
}

func TestChildrenThatWereAddedOrDeletedStaySoWhenTheSupervisorIsRestarted(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.sup("s", supervisor.Spec{Intensity: -1}, tr.child("a"), tr.child("b")))
		ok(t, tr.sys.Add(tr.t.Context(), "s", tr.child("c")))
		ok(t, tr.sys.Remove(tr.t.Context(), "b"))
		tr.rest()
		want(t, tr.tell("a", crash{"x"}), "-a, a: abnormal, -c, c: shutdown, s: shutdown, +a, +c")
		if got := tr.ids("s"); got != "a c" {
			t.Errorf("children: got %s", got)
		}
	})
}

func TestTerminateChildStopsItAndKeepsItsSpecification(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Strategy: supervisor.OneForAll, Intensity: -1}, tr.child("a"), tr.child("b"))
		ok(t, tr.sys.Terminate(tr.t.Context(), "a"))
		want(t, tr.rest(), "-a, a: shutdown")
		ok(t, tr.sys.Terminate(tr.t.Context(), "a")) // the process, if there is one
		if got := tr.ids("root") + " " + tr.state("a"); got != "a b down" {
			t.Errorf("got %s", got)
		}
	})
}

func TestTerminateChildKeepsToTheShutdownTime(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.child("a", shutdown(3*time.Second)))
		tr.tell("a", block{})
		began := time.Now()
		ok(t, tr.sys.Terminate(tr.t.Context(), "a"))
		if got := time.Since(began); got != 3*time.Second {
			t.Errorf("got %v, want 3s", got)
		}
	})
}

func TestATerminatedChildCanBeRestartedByTheSupervisor(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Strategy: supervisor.OneForAll}, tr.child("a"), tr.child("b"))
		ok(t, tr.sys.Terminate(tr.t.Context(), "b"))
		tr.rest()
		want(t, tr.tell("a", crash{"x"}), "-a, a: abnormal, +a, +b")
	})
}

func TestATerminatedChildCanBeRestartedExplicitly(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Intensity: -1}, tr.child("a"))
		ok(t, tr.sys.Terminate(tr.t.Context(), "a"))
		ok(t, tr.sys.Restart(tr.t.Context(), "a"))
		want(t, tr.rest(), "-a, a: shutdown, +a")
	})
}

func TestATemporaryChildThatTerminatedIsKept(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.child("a", restartType(supervisor.Temporary)))
		tr.tell("a", crash{"x"})
		if n := tr.node("a"); n.State != "failed" || n.LastError != "panic: x" {
			t.Errorf("got %s %s", n.State, n.LastError)
		}
		ok(t, tr.sys.Restart(tr.t.Context(), "a"))
		want(t, tr.rest(), "+a")
		ok(t, tr.sys.Remove(tr.t.Context(), "a"))
		if got := tr.ids("root"); got != "" {
			t.Errorf("children: got %s", got)
		}
	})
}

func TestAnUnknownIdentifierIsNotFound(t *testing.T) {
	inBubble(t, func(tr *tree) {
		for range 2 { // before the tree runs as well
			for name, err := range map[string]error{
				"terminate": tr.sys.Terminate(tr.t.Context(), "x"),
				"restart":   tr.sys.Restart(tr.t.Context(), "x"),
				"remove":    tr.sys.Remove(tr.t.Context(), "x"),
				"scale":     tr.sys.Scale(tr.t.Context(), "x", 1),
				"add":       tr.sys.Add(tr.t.Context(), "x", tr.child("y")),
			} {
				if !errors.Is(err, supervisor.ErrNotFound) || !strings.HasPrefix(err.Error(), "supervisor: "+name+" ") {
					t.Errorf("%s: got %v", name, err)
				}
			}
			if tr.cancel == nil {
				tr.run(supervisor.Spec{})
			}
		}
	})
}

func TestRestartChildThatFailsReturnsTheError(t *testing.T) {
	inBubble(t, func(tr *tree) {
		fails := false
		tr.run(supervisor.Spec{Intensity: often}, tr.child("a", func(c *supervisor.Child) {
			produce := c.Producer
			c.Producer = func() actor.Actor {
				if fails {
					fails = false
					panic("not now")
				}
				return produce()
			}
		}))
		fails = true
		if err := tr.sys.Restart(tr.t.Context(), "a"); err == nil || err.Error() != "supervisor: restart a: a: start: panic: not now" {
			t.Errorf("got %v", err)
		}
		want(t, tr.rest(), "-a, a: shutdown, +a") // it is tried again
	})
}

func TestRestartChildThatIsRunningStopsItFirst(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Strategy: supervisor.RestForOne, Intensity: -1}, tr.child("a"), tr.child("b"), tr.child("c"))
		ok(t, tr.sys.Restart(tr.t.Context(), "b"))
		want(t, tr.rest(), "-c, c: shutdown, -b, b: shutdown, +b, +c")
	})
}

func TestDeleteChildForgetsTheSpecification(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Intensity: -1}, tr.child("a"), tr.sup("s", supervisor.Spec{}, tr.child("b")), tr.child("c"))
		ok(t, tr.sys.Terminate(tr.t.Context(), "a"))
		ok(t, tr.sys.Remove(tr.t.Context(), "a"))
		tr.rest()
		ok(t, tr.sys.Remove(tr.t.Context(), "s")) // a running one is stopped first
		want(t, tr.rest(), "-b, b: shutdown, s: shutdown")
		if got := tr.ids("root"); got != "c" {
			t.Errorf("children: got %s", got)
		}
		if err := tr.sys.Restart(tr.t.Context(), "b"); !errors.Is(err, supervisor.ErrNotFound) {
			t.Errorf("what was below it is still known: %v", err)
		}
	})
}

// pool is a dynamic supervisor with children called id/1, id/2, ...
func (tr *tree) pool(id string, size int, change func(*supervisor.Spec), child ...func(*supervisor.Child)) supervisor.Child {
	spec := supervisor.Spec{Strategy: supervisor.Dynamic, Intensity: often, MaxStarting: 1}
	if change != nil {
		change(&spec)
	}
	c := supervisor.Child{ID: id, Supervisor: &spec, Size: size}
	c.Template = func(n int) supervisor.Child { return tr.child(fmt.Sprintf("%s/%d", id, n), child...) }
	tr.watch(&c)
	return c
}

func TestSimpleOneForOneChildrenAreInstancesOfOneTemplate(t *testing.T) {
	inBubble(t, func(tr *tree) {
		want(t, tr.run(supervisor.Spec{}, tr.pool("p", 3, nil)), "+p/1, +p/2, +p/3")
		want(t, tr.tell("p/2", crash{"x"}), "-p/2, p/2: abnormal, +p/2") // a simplified one_for_one
		if got := tr.node("p").Detail; got != "dynamic" {
			t.Errorf("detail: got %s", got)
		}
	})
}

func TestSimpleOneForOneStartsNoChildOfItsOwn(t *testing.T) {
	inBubble(t, func(tr *tree) {
		want(t, tr.run(supervisor.Spec{}, tr.pool("p", 0, nil), tr.child("z")), "+z")
		ok(t, tr.sys.Scale(tr.t.Context(), "p", 2))
		want(t, tr.rest(), "+p/1, +p/2")
	})
}

func TestSimpleOneForOneShutsDownAsynchronously(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.pool("p", 3, nil))
		tr.tell("p/3", block{})
		diary, _ := tr.stop()
		slices.Sort(diary)
		want(t, diary, "-p/1, -p/2, p/1: shutdown, p/2: shutdown")
	})
}

func TestSimpleOneForOneForgetsWhatIsNotRestarted(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.pool("p", 3, nil, restartType(supervisor.Transient)))
		tr.tell("p/1", quit{})
		ok(t, tr.sys.Terminate(tr.t.Context(), "p/3"))
		if got := tr.ids("p"); got != "p/2" {
			t.Errorf("children: got %s", got)
		}
	})
}

func TestSimpleOneForOneTakesNoChildSpecification(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.pool("p", 1, nil), tr.child("a"))
		for name, err := range map[string]error{
			"add":     tr.sys.Add(tr.t.Context(), "p", tr.child("p/2")),
			"scale":   tr.sys.Scale(tr.t.Context(), "root", 2),
			"of none": tr.sys.Scale(tr.t.Context(), "a", 2),
			"size":    tr.sys.Scale(tr.t.Context(), "p", -1),
		} {
			if err == nil {
				t.Errorf("%s: got nil", name)
			}
		}
	})
}
