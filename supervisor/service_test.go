package supervisor_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/supervisor"
)

// service is a child that runs fn.
func (tr *tree) service(fn func(context.Context) error) supervisor.Child {
	return tr.child("svc", func(c *supervisor.Child) {
		c.Producer = supervisor.Service(slog.New(tr.logs), fn)
	})
}

func TestAServiceIsCancelledAndWaitedFor(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.child("a"), tr.service(func(ctx context.Context) error {
			<-ctx.Done()
			pass(time.Second) // it has something to finish
			tr.note("svc is done")
			return ctx.Err()
		}))
		began := time.Now()
		tr.cancel()
		err := <-tr.done
		want(t, tr.rest(), "svc is done, svc: shutdown, -a, a: shutdown")
		if got := time.Since(began); err != nil || got != time.Second {
			t.Errorf("Run: got %v after %v, want nil after 1s", err, got)
		}
	})
}

func TestAServiceThatEndsEarlyIsRestarted(t *testing.T) {
	for name, c := range map[string]struct {
		end  func() error
		want string
	}{
		"error":  {func() error { return errBoom }, "boom"},
		"nil":    {func() error { return nil }, "returned before it was told to stop"},
		"panic":  {func() error { panic("x") }, "panic: x"},
		"goexit": {func() error { runtime.Goexit(); return nil }, "runtime.Goexit ended the goroutine"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(tr *tree) {
				n := 0
				got := tr.run(supervisor.Spec{}, tr.service(func(ctx context.Context) error {
					if n++; n == 1 {
						return c.end()
					}
					<-ctx.Done()
					return nil
				}))
				want(t, got, "svc: abnormal")
				if e := tr.lastExit(); e.Err == nil || e.Err.Error() != c.want {
					t.Errorf("exit: got %v, want %s", e.Err, c.want)
				}
				if got := tr.state("svc"); got != "up" {
					t.Errorf("state: got %s", got)
				}
			})
		})
	}
}

func TestAServiceThatDoesNotStopIsAbandoned(t *testing.T) {
	inBubble(t, func(tr *tree) {
		c := tr.service(func(context.Context) error { <-tr.held; return errors.New("late") })
		c.Shutdown = time.Second
		tr.run(supervisor.Spec{}, c)
		tr.cancel()
		if err := <-tr.done; err != nil {
			t.Errorf("Run: got %v", err)
		}
		if n := tr.node("svc"); n.State != "abandoned" || *n.Abandoned != 1 {
			t.Errorf("node: got %s", n.State)
		}
		tr.release()
		tr.rest()
		if n := tr.node("svc"); n.State != "down" || n.Abandoned != nil {
			t.Errorf("node: got %s", n.State)
		}
		lines := tr.logs.lines()
		if got, want := lines[len(lines)-1], "WARN error while stopping actor=svc#1 err=late"; got != want {
			t.Errorf("log: got %q, want %q", got, want)
		}
	})
}
