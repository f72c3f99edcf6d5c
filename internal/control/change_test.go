package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/magne-actors/magne-actors/supervisor"
)

// TestChanges: each call of a Client arrives as it is meant.
func TestChanges(t *testing.T) {
	var got string
	note := func(format string, args ...any) error {
		got = fmt.Sprintf(format, args...)
		if strings.Contains(got, "nobody") {
			return fmt.Errorf("actors: %s: %w", got, supervisor.ErrNotFound)
		}
		if strings.Contains(got, "broken") {
			return errors.New("it is broken")
		}
		return nil
	}
	c := Client{Socket: start(t, Source{
		Tree:    sampleTree,
		Restart: func(_ context.Context, id string) error { return note("restart %s", id) },
		Scale:   func(_ context.Context, pool string, n int) error { return note("scale %s %d", pool, n) },
		Pause:   func(_ context.Context, pool string) error { return note("pause %s", pool) },
		Resume:  func(_ context.Context, pool string) error { return note("resume %s", pool) },
		Limit: func(_ context.Context, pool string, high, low int) error {
			return note("limit %s %d %d", pool, high, low)
		},
		Cancel:  func(_ context.Context, id string) (int, error) { return 2, note("cancel %s", id) },
		Signal:  func(id string, sig syscall.Signal) error { return note("signal %s %d", id, sig) },
		Recycle: func(_ context.Context, id string) error { return note("recycle %s", id) },
		Kill:    func(id string) error { return note("kill %s", id) },
	})}
	for _, id := range []string{"mail", "a b#c%2f?d=é"} {
		for want, do := range map[string]func(ctx context.Context) error{
			"restart " + id:          func(ctx context.Context) error { return c.Restart(ctx, id) },
			"scale " + id + " 3":     func(ctx context.Context) error { return c.Scale(ctx, id, 3) },
			"pause " + id:            func(ctx context.Context) error { return c.Pause(ctx, id) },
			"resume " + id:           func(ctx context.Context) error { return c.Resume(ctx, id) },
			"limit " + id + " 9 5":   func(ctx context.Context) error { return c.Limit(ctx, id, 9, -1) },
			"limit " + id + " 1 0":   func(ctx context.Context) error { return c.Limit(ctx, id, 1, -1) },
			"limit " + id + " 9 0":   func(ctx context.Context) error { return c.Limit(ctx, id, 9, 0) },
			"signal " + id + "/1 15": func(ctx context.Context) error { return c.Signal(ctx, id+"/1", "sigterm") },
			"recycle " + id + "/1":   func(ctx context.Context) error { return c.Recycle(ctx, id+"/1") },
			"kill " + id + "/1":      func(ctx context.Context) error { return c.Kill(ctx, id+"/1") },
		} {
			if err := do(t.Context()); err != nil || got != want {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
		}
	}
	// The id of a message may be anything.
	if n, err := c.Cancel(t.Context(), "../a//b"); err != nil || n != 2 || got != "cancel ../a//b" {
		t.Errorf("got %d, %q, %v", n, got, err)
	}
	if err := c.Pause(t.Context(), "nobody"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	if err := c.Pause(t.Context(), "broken"); err == nil || err.Error() != "it is broken" {
		t.Errorf("got %v, want what the instance says", err)
	}
	for want, err := range map[string]error{
		"workers is a number": c.Scale(t.Context(), "mail", 0),
		"low is a number":     c.Limit(t.Context(), "mail", 5, 5),
		"high is a number":    c.Limit(t.Context(), "mail", 0, -1),
		`no signal "WINK"`:    c.Signal(t.Context(), "mail/1", "WINK"),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestNothingIsOffered(t *testing.T) {
	c, ctx := Client{Socket: start(t, Source{Tree: sampleTree})}, t.Context()
	_, canceling := c.Cancel(ctx, "7")
	_, reloading := c.Reload(ctx)
	_, comparing := c.Diff(ctx, nil)
	for i, err := range []error{
		c.Scale(ctx, "mail", 1), c.Pause(ctx, "mail"), c.Resume(ctx, "mail"), c.Limit(ctx, "mail", 2, 1), canceling,
		c.Signal(ctx, "mail/1", "TERM"), c.Recycle(ctx, "mail/1"), c.Kill(ctx, "mail/1"), reloading, comparing,
	} {
		if !errors.Is(err, ErrNotOffered) || errors.Is(err, ErrUnreachable) {
			t.Errorf("%d: got %v, want ErrNotOffered", i, err)
		}
	}
}

func TestReloadAndDiff(t *testing.T) {
	want := []Change{{Pool: "mail", Action: "scale", Keys: []string{"workers"}, Text: "workers 8 -> 16"}}
	var failure error
	c := Client{Socket: start(t, Source{
		Tree:   sampleTree,
		Reload: func(context.Context) ([]Change, error) { return want, failure },
		Diff: func(_ context.Context, yaml []byte) ([]Change, error) {
			if string(yaml) != "version: 1\n" {
				return nil, &InvalidError{[]string{"stdin:1:1: no", "stdin:2:1: neither"}}
			}
			return want, nil
		},
	})}
	got, err := c.Reload(t.Context())
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("reload: %v, -want +got:\n%s", err, diff)
	}
	got, err = c.Diff(t.Context(), []byte("version: 1\n"))
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("diff: %v, -want +got:\n%s", err, diff)
	}
	_, err = c.Diff(t.Context(), []byte("version: 2\n"))
	if invalid, ok := errors.AsType[*InvalidError](err); !ok || len(invalid.Mistakes) != 2 || !strings.Contains(err.Error(), "stdin:1:1: no") {
		t.Errorf("a wrong file: got %v", err)
	}
	if _, err = c.Diff(t.Context(), make([]byte, maxYAML+1)); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("a huge file: got %v", err)
	}
	// What was changed before it failed is said.
	failure = errors.New("the second pool does not start")
	got, err = c.Reload(t.Context())
	if diff := cmp.Diff(want, got); diff != "" || err == nil || err.Error() != failure.Error() {
		t.Errorf("half a reload: %v, -want +got:\n%s", err, diff)
	}
}

func TestParseSignal(t *testing.T) {
	for text, want := range map[string]syscall.Signal{
		"TERM": syscall.SIGTERM, "sigusr1": syscall.SIGUSR1, "9": syscall.SIGKILL, "": 0, "0": 0, "-1": 0, "WINK": 0, "1000": 0,
	} {
		if got, err := ParseSignal(text); got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
}
