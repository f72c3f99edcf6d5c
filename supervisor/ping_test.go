package supervisor_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/supervisor"
)

func TestPingIsAnsweredByTheRoot(t *testing.T) {
	inBubble(t, func(tr *tree) {
		if err := tr.sys.Ping(tr.t.Context()); !errors.Is(err, supervisor.ErrNotRunning) {
			t.Errorf("before Run: got %v, want ErrNotRunning", err)
		}
		tr.run(supervisor.Spec{}, tr.child("a"))
		tr.tell("a", block{}) // of no concern to the root
		ok(t, tr.sys.Ping(tr.t.Context()))
		tr.release()
		tr.stop()
		if err := tr.sys.Ping(tr.t.Context()); !errors.Is(err, supervisor.ErrNotRunning) {
			t.Errorf("after Run: got %v, want ErrNotRunning", err)
		}
	})
}

func TestPingOfARootThatHangsEndsWithItsContext(t *testing.T) {
	inBubble(t, func(tr *tree) {
		hold := make(chan struct{})
		tr.sys.Observe(func(e supervisor.Event) {
			if e.Type == supervisor.EventFailed {
				if e.Kind != "worker" {
					t.Errorf("kind of %s: got %q, want worker", e.ID, e.Kind)
				}
				<-hold // on the root's goroutine, as an observer must not
			}
		})
		a := tr.child("a")
		a.Kind = "worker"
		tr.run(supervisor.Spec{Intensity: often}, a)
		tr.tell("a", crash{"x"})
		ctx, cancel := context.WithTimeout(tr.t.Context(), time.Second)
		defer cancel()
		if err := tr.sys.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the end of the context", err)
		}
		close(hold)
		ok(t, tr.sys.Ping(tr.t.Context()))
	})
}
