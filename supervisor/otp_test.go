package supervisor_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magne-actors/magne-actors/supervisor"
)

// One test for each sentence of OTP's supervisor that applies; the sentences
// are in docs/supervision.md.

var errBoom = errors.New("boom")

const often = 1000 // an intensity that no test reaches

func TestChildrenAreStartedInOrderFromLeftToRight(t *testing.T) {
	inBubble(t, func(tr *tree) {
		want(t, tr.run(supervisor.Spec{},
			tr.child("a"),
			tr.sup("s", supervisor.Spec{}, tr.child("s1"), tr.child("s2")),
			tr.child("b"),
		), "+a, +s1, +s2, +b")
	})
}

func TestChildrenAreTerminatedInReversedStartOrder(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.child("a"), tr.sup("s", supervisor.Spec{}, tr.child("s1"), tr.child("s2")), tr.child("b"))
		diary, err := tr.stop()
		want(t, diary, "-b, b: shutdown, -s2, s2: shutdown, -s1, s1: shutdown, s: shutdown, -a, a: shutdown")
		if err != nil {
			t.Errorf("Run: got %v, want nil", err)
		}
	})
}

func TestTheNextChildIsStoppedOnlyWhenTheOneAfterItIsDown(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.child("a"), tr.child("b"))
		tr.tell("b", block{})
		diary, _ := tr.stop()
		want(t, diary, "")
		tr.release()
		want(t, tr.rest(), "-b, b: shutdown, -a, a: shutdown")
	})
}

func TestAChildIsKeptAliveByRestartingIt(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Intensity: often}, tr.child("a"))
		for range 20 {
			want(t, tr.tell("a", crash{"x"}), "-a, a: abnormal, +a")
			want(t, tr.tell("a", "hello"), "a got hello")
		}
	})
}

func TestOneForOneAffectsOnlyThatChild(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Strategy: supervisor.OneForOne}, tr.child("a"), tr.child("b"), tr.child("c"))
		want(t, tr.tell("b", crash{"x"}), "-b, b: abnormal, +b")
	})
}

func TestOneForOneIsTheDefault(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.child("a"), tr.child("b"))
		want(t, tr.tell("a", crash{"x"}), "-a, a: abnormal, +a")
		if got := tr.node("root").Detail; got != "one_for_one" {
			t.Errorf("detail: got %q", got)
		}
	})
}

func TestOneForAllTerminatesAllOthersThenRestartsAll(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Strategy: supervisor.OneForAll}, tr.child("a"), tr.child("b"), tr.child("c"))
		want(t, tr.tell("b", crash{"x"}), "-b, b: abnormal, -c, c: shutdown, -a, a: shutdown, +a, +b, +c")
	})
}

func TestRestForOneTerminatesTheRestThenRestartsThem(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Strategy: supervisor.RestForOne}, tr.child("a"), tr.child("b"), tr.child("c"), tr.child("d"))
		want(t, tr.tell("b", crash{"x"}), "-b, b: abnormal, -d, d: shutdown, -c, c: shutdown, +b, +c, +d")
	})
}

func TestParallelShutsAllChildrenDownAsynchronously(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Parallel: true}, tr.child("a"), tr.child("b"), tr.child("c"))
		tr.tell("c", block{})
		diary, _ := tr.stop()
		if got := strings.Join(diary, " "); strings.Contains(got, "-c") || !strings.Contains(got, "-a") || !strings.Contains(got, "-b") {
			t.Errorf("a and b should have stopped without waiting for c: %v", got)
		}
	})
}

func TestMoreThanMaxRRestartsWithinMaxTTerminateTheSupervisor(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Intensity: 2, Period: time.Minute}, tr.child("a"), tr.child("b"), tr.child("c"))
		tr.tell("b", crash{"x"})
		tr.tell("a", crash{"x"})
		want(t, tr.tell("b", crash{"the last"}), "-b, b: abnormal, -c, c: shutdown, -a, a: shutdown")
		err := <-tr.done
		got, ok := errors.AsType[*supervisor.ExhaustedError](err)
		if !ok || got.Supervisor != "root" || got.Intensity != 2 || got.Period != time.Minute || got.Last.ID != "b" || got.Last.Generation != 2 {
			t.Fatalf("Run: got %#v", err)
		}
		if want := "supervisor: root gave up: more than 2 restarts in 1m0s; last b: panic: the last"; err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	})
}

func TestRestartsSpreadOverMoreThanMaxTDoNot(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Intensity: 1, Period: 5 * time.Second}, tr.child("a"))
		for range 10 {
			want(t, tr.tell("a", crash{"x"}), "-a, a: abnormal, +a")
			pass(5*time.Second + 1)
		}
	})
}

func TestIntensityDefaultsToOneAndPeriodToFive(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.child("a"))
		want(t, tr.tell("a", crash{"x"}), "-a, a: abnormal, +a")
		pass(5 * time.Second)
		want(t, tr.tell("a", crash{"x"}), "-a, a: abnormal")
		got, ok := errors.AsType[*supervisor.ExhaustedError](<-tr.done)
		if !ok || got.Intensity != 1 || got.Period != 5*time.Second {
			t.Errorf("got %v", got)
		}
	})
}

func TestTheTerminationReasonIsThenShutdown(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Intensity: 1, Period: time.Minute},
			tr.sup("s", supervisor.Spec{Intensity: -1}, tr.child("a")), tr.child("b"))
		// The supervisor above counts it as one failure of its child.
		want(t, tr.tell("a", crash{"x"}), "-a, a: abnormal, s: shutdown, +a")
		e := tr.lastExit()
		if _, ok := errors.AsType[*supervisor.ExhaustedError](e.Err); !ok || e.Reason != supervisor.Shutdown {
			t.Errorf("exit: got %+v", e)
		}
		want(t, tr.tell("a", crash{"x"}), "-a, a: abnormal, s: shutdown, -b, b: shutdown")
		err := <-tr.done
		if got, ok := errors.AsType[*supervisor.ExhaustedError](err); !ok || got.Supervisor != "root" || got.Last.ID != "s" {
			t.Errorf("Run: got %v", err)
		}
		if got, ok := errors.AsType[*supervisor.PanicError](err); !ok || got.Value != "x" {
			t.Errorf("the first cause is not in the error: %v", err)
		}
	})
}

func TestAPermanentChildIsAlwaysRestarted(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Intensity: often}, tr.child("a", restartType(supervisor.Permanent)))
		want(t, tr.tell("a", quit{}), "-a, a: normal, +a")
		want(t, tr.tell("a", quit{errBoom}), "-a, a: abnormal, +a")
		want(t, tr.tell("a", crash{"x"}), "-a, a: abnormal, +a")
	})
}

func TestPermanentIsTheDefault(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.child("a"))
		want(t, tr.tell("a", quit{}), "-a, a: normal, +a")
	})
}

func TestATemporaryChildIsNeverRestarted(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Intensity: -1}, tr.child("a", restartType(supervisor.Temporary)), tr.child("b", restartType(supervisor.Temporary)))
		want(t, tr.tell("a", quit{}), "-a, a: normal")
		want(t, tr.tell("b", crash{"x"}), "-b, b: abnormal")
		if a, b := tr.state("a"), tr.state("b"); a != "down" || b != "failed" {
			t.Errorf("states: got %s %s, want down failed", a, b)
		}
	})
}

func TestATemporaryChildIsNotRestartedWithItsSiblings(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Strategy: supervisor.RestForOne}, tr.child("a"), tr.child("b", restartType(supervisor.Temporary)), tr.child("c"))
		want(t, tr.tell("a", crash{"x"}), "-a, a: abnormal, -c, c: shutdown, -b, b: shutdown, +a, +c")
	})
}

func TestATransientChildIsRestartedOnlyIfItTerminatesAbnormally(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Intensity: often},
			tr.child("a", restartType(supervisor.Transient)),
			func() supervisor.Child {
				s := tr.sup("s", supervisor.Spec{Intensity: -1}, tr.child("b"))
				s.Restart = supervisor.Transient
				return s
			}(),
		)
		want(t, tr.tell("a", crash{"x"}), "-a, a: abnormal, +a")
		want(t, tr.tell("a", quit{errBoom}), "-a, a: abnormal, +a")
		want(t, tr.tell("a", quit{}), "-a, a: normal")
		want(t, tr.tell("b", crash{"x"}), "-b, b: abnormal, s: shutdown") // shutdown is not abnormal
	})
}

func TestATransientChildIsRestartedWithItsSiblings(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Strategy: supervisor.OneForAll}, tr.child("a"), tr.child("b", restartType(supervisor.Transient)))
		want(t, tr.tell("b", quit{}), "-b, b: normal")
		want(t, tr.tell("a", crash{"x"}), "-a, a: abnormal, +a, +b")
	})
}

func TestTheIDIdentifiesTheChild(t *testing.T) {
	inBubble(t, func(tr *tree) {
		err := tr.sys.Run(t.Context(), "root", supervisor.Spec{}, tr.child("a"), tr.sup("s", supervisor.Spec{}, tr.child("a")))
		if err == nil || !strings.Contains(err.Error(), `"a"`) {
			t.Errorf("two children with one id: got %v", err)
		}
		if tr.sys.Snapshot() != nil {
			t.Error("there is a tree")
		}
	})
}

func shutdown(d time.Duration) func(*supervisor.Child) {
	return func(c *supervisor.Child) { c.Shutdown = d }
}

func TestAChildThatExceedsItsShutdownTimeIsAbandoned(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.child("a"), tr.child("b", shutdown(2*time.Second)))
		tr.tell("b", block{})
		began := time.Now()
		tr.cancel()
		err := <-tr.done
		if got := time.Since(began); err != nil || got != 2*time.Second {
			t.Errorf("Run: got %v after %v, want nil after 2s", err, got)
		}
		want(t, tr.rest(), "b: shutdown, -a, a: shutdown")
		if got := tr.node("b"); got.State != "abandoned" || *got.Abandoned != 1 {
			t.Errorf("b: got %s, %v abandoned", got.State, got.Abandoned)
		}
		tr.release()
		want(t, tr.rest(), "-b") // nothing can kill it; it ends by itself
		if got := tr.node("b"); got.State != "down" || got.Abandoned != nil {
			t.Errorf("b: got %s, %v abandoned", got.State, got.Abandoned)
		}
	})
}

func TestShutdownDefaultsToFiveSecondsForAWorker(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.child("a"))
		tr.tell("a", block{})
		began := time.Now()
		tr.cancel()
		<-tr.done
		if got := time.Since(began); got != 5*time.Second {
			t.Errorf("got %v, want 5s", got)
		}
	})
}

func TestShutdownDefaultsToInfinityForASupervisor(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.sup("s", supervisor.Spec{}, tr.child("a", shutdown(time.Hour)), tr.child("b", shutdown(time.Hour))))
		tr.tell("a", block{})
		tr.tell("b", block{})
		began := time.Now()
		tr.cancel()
		<-tr.done
		if got := time.Since(began); got != 2*time.Hour {
			t.Errorf("got %v, want the 2h that its children may take", got)
		}
	})
}

func TestShutdownInfinityWaits(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.child("a", shutdown(supervisor.Infinity)))
		tr.tell("a", block{})
		tr.stop()
		pass(1000 * time.Hour)
		if got := tr.state("a"); got != "stopping" {
			t.Errorf("state: got %s, want stopping", got)
		}
		tr.release()
		want(t, tr.rest(), "-a, a: shutdown")
	})
}

func TestBrutalKillDoesNotWait(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.child("a", shutdown(supervisor.BrutalKill)))
		tr.tell("a", block{})
		began := time.Now()
		tr.cancel()
		<-tr.done
		if got := time.Since(began); got != 0 {
			t.Errorf("got %v, want 0", got)
		}
		if e := tr.lastExit(); !e.Abandoned || e.Reason != supervisor.Shutdown {
			t.Errorf("exit: got %+v", e)
		}
	})
}

func TestAChildThatDiesWhileItIsBeingTerminatedIsNotCounted(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Strategy: supervisor.OneForAll, Intensity: 1}, tr.child("a"), tr.child("b"))
		tr.tell("b", block{})
		want(t, tr.tell("a", crash{"x"}), "-a, a: abnormal")
		tr.sys.Send(tr.pid("b"), crash{"in the queue"}) // behind the stop, so dropped
		tr.release()
		want(t, tr.rest(), "-b, b: shutdown, +a, +b")
	})
}

// failing fails in Started until it has been started n times.
func (tr *tree) failing(id string, n int) supervisor.Child {
	c := tr.child(id)
	c.Producer = failingProducer(tr, id, n)
	return c
}

func TestAFailedStartIsTriedAgainAndCounted(t *testing.T) {
	inBubble(t, func(tr *tree) {
		want(t, tr.run(supervisor.Spec{Intensity: 2}, tr.child("a"), tr.failing("b", 2), tr.child("c")),
			"+a, !b, b: abnormal, !b, b: abnormal, +b, +c")
	})
}

func TestAFailedStartOfAGroupIsTriedAgain(t *testing.T) {
	inBubble(t, func(tr *tree) {
		want(t, tr.run(supervisor.Spec{Strategy: supervisor.OneForAll, Intensity: 1}, tr.child("a"), tr.failing("b", 1), tr.child("c")),
			"+a, !b, b: abnormal, -a, a: shutdown, +a, +b, +c")
	})
}

func TestASupervisorThatCannotStartFailsUpwards(t *testing.T) {
	inBubble(t, func(tr *tree) {
		want(t, tr.run(supervisor.Spec{Intensity: -1}, tr.child("a"), tr.sup("s", supervisor.Spec{Intensity: -1}, tr.failing("b", 9))),
			"+a, !b, b: abnormal, s: shutdown, -a, a: shutdown")
		if err := <-tr.done; err == nil {
			t.Error("Run: got nil")
		}
	})
}

func TestAShutdownRequestIsHandledBetweenTwoAttempts(t *testing.T) {
	backoff := supervisor.Backoff{Initial: time.Hour}
	for _, s := range []supervisor.Strategy{supervisor.OneForOne, supervisor.OneForAll, supervisor.RestForOne} {
		t.Run(s.String(), func(t *testing.T) {
			inBubble(t, func(tr *tree) {
				want(t, tr.run(supervisor.Spec{Strategy: s, Intensity: often, Backoff: backoff}, tr.failing("a", 9)), "!a, a: abnormal")
				if got := tr.state("a"); got != "backoff" {
					t.Errorf("state: got %s, want backoff", got)
				}
				if diary, err := tr.stop(); err != nil || len(diary) != 0 {
					t.Errorf("got %v, %v", diary, err)
				}
				synctest.Wait()
			})
		})
	}
}
