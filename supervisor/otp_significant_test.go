package supervisor_test

import (
	"strings"
	"testing"

	"github.com/magne-actors/magne-actors/supervisor"
)

// Automatic shutdown, sentence by sentence; see otp_test.go.

func significant(r supervisor.Restart) func(*supervisor.Child) {
	return func(c *supervisor.Child) { c.Restart, c.Significant = r, true }
}

// refused runs a tree that must not start and returns the error.
func (tr *tree) refused(spec supervisor.Spec, children ...supervisor.Child) string {
	tr.t.Helper()
	err := tr.sys.Run(tr.t.Context(), "root", spec, children...)
	if err == nil || tr.sys.Snapshot() != nil {
		tr.t.Fatalf("it was started: %v", err)
	}
	return err.Error()
}

func TestAutoShutdownIsNeverByDefault(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.child("a", restartType(supervisor.Temporary)))
		want(t, tr.tell("a", quit{}), "-a, a: normal")
		if got := tr.state("root"); got != "up" {
			t.Errorf("root: got %s, want up", got)
		}
	})
}

func TestWithAutoShutdownNeverSignificantChildrenAreRejected(t *testing.T) {
	inBubble(t, func(tr *tree) {
		if got := tr.refused(supervisor.Spec{}, tr.child("a", significant(supervisor.Transient))); !strings.Contains(got, "significant") {
			t.Errorf("got %s", got)
		}
		tr.run(supervisor.Spec{}, tr.child("b"))
		if err := tr.sys.Add(tr.t.Context(), "root", tr.child("c", significant(supervisor.Temporary))); err == nil {
			t.Error("one was added to a supervisor that never shuts down")
		}
	})
}

func TestSignificantAndPermanentIsInvalid(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.refused(supervisor.Spec{AutoShutdown: supervisor.AnySignificant}, tr.child("a", significant(supervisor.Permanent)))
	})
}

func TestAnySignificantShutsDownWhenATransientOneTerminatesNormally(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{AutoShutdown: supervisor.AnySignificant},
			tr.child("a"), tr.child("b", significant(supervisor.Transient)), tr.child("c", significant(supervisor.Transient)))
		want(t, tr.tell("b", crash{"x"}), "-b, b: abnormal, +b")
		want(t, tr.tell("b", quit{}), "-b, b: normal, -c, c: shutdown, -a, a: shutdown")
		if err := <-tr.done; err != nil {
			t.Errorf("Run: got %v, want nil", err)
		}
	})
}

func TestAnySignificantShutsDownWhenATemporaryOneTerminatesAnyhow(t *testing.T) {
	for _, end := range []any{quit{}, crash{"x"}} {
		inBubble(t, func(tr *tree) {
			tr.run(supervisor.Spec{AutoShutdown: supervisor.AnySignificant}, tr.child("a"), tr.child("b", significant(supervisor.Temporary)))
			if got := strings.Join(tr.tell("b", end), ", "); !strings.HasSuffix(got, "-a, a: shutdown") {
				t.Errorf("got %s", got)
			}
			if err := <-tr.done; err != nil {
				t.Errorf("Run: got %v, want nil", err)
			}
		})
	}
}

func TestAllSignificantShutsDownWhenTheLastActiveOneTerminates(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{AutoShutdown: supervisor.AllSignificant},
			tr.child("a"), tr.child("b", significant(supervisor.Transient)), tr.child("c", significant(supervisor.Temporary)))
		want(t, tr.tell("c", quit{}), "-c, c: normal")
		want(t, tr.tell("b", quit{}), "-b, b: normal, -a, a: shutdown")
		if err := <-tr.done; err != nil {
			t.Errorf("Run: got %v, want nil", err)
		}
	})
}

func TestTheReasonOfAnAutoShutdownIsShutdown(t *testing.T) {
	inBubble(t, func(tr *tree) {
		auto := func(r supervisor.Restart, id string) supervisor.Child {
			s := tr.sup(id, supervisor.Spec{AutoShutdown: supervisor.AnySignificant}, tr.child(id+"1", significant(supervisor.Transient)))
			s.Restart = r
			return s
		}
		tr.run(supervisor.Spec{}, auto(supervisor.Transient, "s"), auto(supervisor.Permanent, "p"))
		want(t, tr.tell("s1", quit{}), "-s1, s1: normal, s: shutdown")
		if e := tr.lastExit(); e.Err != nil {
			t.Errorf("exit: got %v, want no error", e.Err)
		}
		// As OTP warns, a permanent one is restarted.
		want(t, tr.tell("p1", quit{}), "-p1, p1: normal, p: shutdown, +p1")
	})
}

func TestTerminatingASignificantChildTriggersNoAutoShutdown(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{AutoShutdown: supervisor.AnySignificant}, tr.child("a"), tr.child("b", significant(supervisor.Transient)))
		if err := tr.sys.Terminate(tr.t.Context(), "b"); err != nil {
			t.Error(err)
		}
		want(t, tr.rest(), "-b, b: shutdown")
		if got := tr.state("root"); got != "up" {
			t.Errorf("root: got %s, want up", got)
		}
	})
}

func TestASiblingsDeathTriggersNoAutoShutdown(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Strategy: supervisor.OneForAll, AutoShutdown: supervisor.AnySignificant},
			tr.child("a"), tr.child("b", significant(supervisor.Temporary)))
		want(t, tr.tell("a", crash{"x"}), "-a, a: abnormal, -b, b: shutdown, +a")
	})
}
