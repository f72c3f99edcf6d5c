package main

import (
	stdcmp "cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/magne-actors/magne-actors/actors"
	"github.com/magne-actors/magne-actors/config"
	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/supervisor"
)

// fakePools notes what is done to pools. What is in broken fails.
type fakePools struct {
	done   []string
	broken string
	err    error // of what is in broken
	stats  []actors.PoolStats
	hold   chan struct{} // if not nil, ReplacePool waits for it
}

func (f *fakePools) do(format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	f.done = append(f.done, what)
	if f.broken != "" && strings.Contains(what, f.broken) {
		return fmt.Errorf("actors: %s: %w", what, stdcmp.Or(f.err, errors.New("no")))
	}
	return nil
}

func (f *fakePools) Scale(_ context.Context, pool string, n int) error {
	return f.do("scale %s %d", pool, n)
}

func (f *fakePools) Limit(_ context.Context, pool string, high, low int) error {
	return f.do("limit %s %d %d", pool, high, low)
}

func (f *fakePools) Stats() []actors.PoolStats { return f.stats }

func (f *fakePools) AddPool(_ context.Context, o actors.Pool) error { return f.do("add %s", o.Name) }

func (f *fakePools) RemovePool(_ context.Context, name string) error {
	if name == "gone" {
		return fmt.Errorf("actors: %w", supervisor.ErrNotFound)
	}
	return f.do("remove %s", name)
}

func (f *fakePools) ReplacePool(_ context.Context, o actors.Pool) error {
	if f.hold != nil {
		<-f.hold
	}
	if o.Name == "away" {
		return fmt.Errorf("actors: %w", supervisor.ErrNotFound)
	}
	return f.do("replace %s", o.Name)
}

// echo is a pool of the tests.
func echo(name, keys string) string {
	return fmt.Sprintf("  %s: {queue: %s, tasks: {t: {builtin: echo}}%s}\n", name, name, keys)
}

func parsed(t *testing.T, pools ...string) *config.File {
	t.Helper()
	f, err := config.Parse(strings.NewReader("version: 1\npools:\n"+strings.Join(pools, "")), "magne.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// reloading is a reloader of a System that runs with f, and reads *next.
func reloading(t *testing.T, f *config.File, system *fakePools, next **config.File) *reloader {
	t.Helper()
	r, err := newReloader(&instance{config: f, log: slog.New(slog.DiscardHandler), watch: &watch{}})
	if err != nil {
		t.Fatal(err)
	}
	r.system, r.begin = system, func() func() { return func() {} }
	r.read = func() (*config.File, error) { return *next, nil }
	return r
}

func actions(list []control.Change) string {
	var words []string
	for _, c := range list {
		words = append(words, strings.TrimSpace(c.Action+" "+c.Pool))
	}
	return strings.Join(words, ", ")
}

// TestReload: each kind of change is carried out, and the next reload begins where
// this one has ended.
func TestReload(t *testing.T) {
	first := parsed(t, echo("same", ""), echo("more", ", workers: 2"), echo("marks", ", watermarks: {high: 8, low: 4}"), echo("other", ""), echo("old", ""), echo("gone", ""))
	next := parsed(t, echo("new", ""), echo("same", ""), echo("more", ", workers: 4"), echo("marks", ", watermarks: {high: 9, low: 4}"), echo("other", ", max_body: 2MiB"))
	system := &fakePools{}
	r := reloading(t, first, system, &next)
	planned := r.plan(next, mustOptions(t, r, next))
	if got, want := actions(planned), "add new, keep same, scale more, limit marks, restart other, remove gone, remove old"; got != want {
		t.Errorf("plan: got %s, want %s", got, want)
	}
	o := r.once(t.Context())
	if got, want := actions(o.changes), "add new, scale more, limit marks, restart other, remove gone, remove old"; o.err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, o.err, want)
	}
	want := []string{"add new", "scale more 4", "limit more " + marksOf(next, "more"), "limit marks 9 4", "replace other", "remove old"}
	if diff := cmp.Diff(want, system.done); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	system.done = nil
	if o := r.once(t.Context()); len(o.changes) > 0 || o.err != nil || len(system.done) > 0 {
		t.Errorf("again: got %v, %v, %v", o.changes, o.err, system.done)
	}
}

func mustOptions(t *testing.T, r *reloader, f *config.File) map[string]actors.Pool {
	t.Helper()
	_, options, err := r.next(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	return options
}

func marksOf(f *config.File, name string) string {
	i := slices.IndexFunc(f.Pools, func(p config.Pool) bool { return p.Name == name })
	return fmt.Sprintf("%d %d", f.Pools[i].Watermarks.High, f.Pools[i].Watermarks.Low)
}

// TestReloadFailsInPart: the others are done, and what has failed is done again
// until it works, whatever the file says then.
func TestReloadFailsInPart(t *testing.T) {
	first := parsed(t, echo("a", ""), echo("b", ""), echo("away", ""))
	next := parsed(t, echo("a", ", max_body: 2MiB"), echo("b", ", max_body: 2MiB"), echo("away", ", max_body: 2MiB"), echo("new", ""))
	system := &fakePools{broken: " a"}
	r := reloading(t, first, system, &next)
	o := r.once(t.Context())
	if got := actions(o.changes); got != "restart b, add new" || o.err == nil || !strings.Contains(o.err.Error(), "replace a: no; actors: add away: no") {
		t.Errorf("got %s, %v", got, o.err)
	}
	system.broken, system.done = "", nil
	next = first // the operator takes it all back
	o = r.once(t.Context())
	if got, want := actions(o.changes), "restart a, restart b, restart away, remove new"; got != want || o.err != nil {
		t.Errorf("taken back: got %s, %v, want %s", got, o.err, want)
	}
	if want := []string{"replace a", "replace b", "add away", "remove new"}; !slices.Equal(want, system.done) {
		t.Errorf("taken back: got %v, want %v", system.done, want)
	}
}

// TestReloadOfASize: a pool that follows the load gets its new bounds, and is not
// given a number of workers.
func TestReloadOfASize(t *testing.T) {
	sized := func(most int) *config.File {
		return parsed(t, fmt.Sprintf("  a: {queue: a, mode: process, process: {command: [/bin/cat]}, size: {min: 1, max: %d}}\n", most))
	}
	next, system := sized(8), &fakePools{}
	r := reloading(t, sized(4), system, &next)
	if o := r.once(t.Context()); actions(o.changes) != "scale a" || o.err != nil || !slices.Equal(system.done, []string{"replace a"}) {
		t.Errorf("got %v, %v, %v", o.changes, o.err, system.done)
	}
}

// TestReloadThatKeepsThePool: new processes that do not get ready are tried again by
// the next reload, and when the file is what it was there is nothing to do.
func TestReloadThatKeepsThePool(t *testing.T) {
	program := func(name string) *config.File {
		return parsed(t, fmt.Sprintf("  a: {queue: a, mode: process, process: {command: [%s]}}\n", name))
	}
	first := program("/bin/cat")
	next, system := program("/bin/no"), &fakePools{broken: "replace", err: actors.ErrKept}
	r := reloading(t, first, system, &next)
	for range 2 {
		if o := r.once(t.Context()); len(o.changes) > 0 || !errors.Is(o.err, actors.ErrKept) {
			t.Errorf("got %v, %v", o.changes, o.err)
		}
		if got := actions(r.plan(next, mustOptions(t, r, next))); got != "roll a" {
			t.Errorf("after it: got %s", got)
		}
	}
	system.done, next = nil, first
	if o := r.once(t.Context()); len(o.changes) > 0 || o.err != nil || len(system.done) > 0 {
		t.Errorf("taken back: got %v, %v, %v", o.changes, o.err, system.done)
	}
}

// TestReloadOfAParkedPool: the new configuration does not start what was given up,
// and says so of this pool alone.
func TestReloadOfAParkedPool(t *testing.T) {
	system := &fakePools{stats: []actors.PoolStats{{Pool: "a", Parked: true}, {Pool: "b"}}}
	next := parsed(t, echo("a", ", timeout: 5s"), echo("b", ", timeout: 5s"))
	o := reloading(t, parsed(t, echo("a", ""), echo("b", "")), system, &next).once(t.Context())
	if o.err != nil || len(o.changes) != 2 {
		t.Fatalf("got %v, %v", o.changes, o.err)
	}
	for _, c := range o.changes {
		if got, want := strings.Contains(c.Text, "`magne-actors why a`"), c.Pool == "a"; got != want {
			t.Errorf("%s: got %q", c.Pool, c.Text)
		}
	}
}

// TestPlanSaysWhatAnOperatorHasChanged: a reload leaves it as long as the pool is
// the same in the file.
func TestPlanSaysWhatAnOperatorHasChanged(t *testing.T) {
	f := parsed(t, echo("a", ", workers: 2"), echo("b", ", watermarks: {high: 8, low: 4}"), echo("c", ""))
	system := &fakePools{}
	r := reloading(t, f, system, &f)
	options := mustOptions(t, r, f)
	for _, name := range []string{"a", "b", "c"} {
		o := options[name]
		system.stats = append(system.stats, actors.PoolStats{Pool: name, Size: int64(o.Workers), High: int64(o.High), Low: int64(o.Low)})
	}
	system.stats[0].Size, system.stats[0].High, system.stats[1].Low = 5, 5, 3
	want := []string{"unchanged; it keeps the 5 workers of `scale`, the file says 2", "unchanged; it keeps the watermarks 8/3 of `limit`, the file says 8/4", "unchanged"}
	var got []string
	for _, c := range r.plan(f, options) {
		got = append(got, c.Text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestReloadFailsToRemove: a pool that could not be removed is removed by the next
// reload.
func TestReloadFailsToRemove(t *testing.T) {
	first, next := parsed(t, echo("a", ""), echo("b", "")), parsed(t, echo("a", ""))
	system := &fakePools{broken: "remove"}
	r := reloading(t, first, system, &next)
	if o := r.once(t.Context()); len(o.changes) > 0 || o.err == nil {
		t.Errorf("got %v, %v", o.changes, o.err)
	}
	system.broken = ""
	if o := r.once(t.Context()); actions(o.changes) != "remove b" || o.err != nil {
		t.Errorf("again: got %v, %v", o.changes, o.err)
	}
}

// TestReloadOfAWrongFile: nothing is changed, and all mistakes are there.
func TestReloadOfAWrongFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "magne.yaml")
	if err := os.WriteFile(file, []byte("version: 1\nshutdown: 9\npools: {a: {mode: thraed}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	system, next := &fakePools{}, (*config.File)(nil)
	r := reloading(t, parsed(t, echo("a", "")), system, &next)
	for name, mistakes := range map[string]int{file: 2, "-": 1, file + ".none": 1} {
		r.read = func() (*config.File, error) { return readAgain(name) }
		o := r.once(t.Context())
		if invalid, ok := errors.AsType[*control.InvalidError](o.err); !ok || len(invalid.Mistakes) != mistakes || len(system.done) > 0 {
			t.Errorf("%s: got %v, %v, want %d mistakes", name, o.err, system.done, mistakes)
		}
	}
	if _, err := r.diff(t.Context(), []byte("version: 1\npools: {a: {mode: thraed}}")); err == nil || !strings.Contains(err.Error(), "stdin:2:") {
		t.Errorf("diff: got %v", err)
	}
	changes, err := r.diff(t.Context(), []byte("version: 1\nshutdown: 9s\npools:\n"+echo("a", "")))
	if got := actions(changes); err != nil || got != "manual, keep a" {
		t.Errorf("diff: got %s, %v", got, err)
	}
}

// TestReloadsTakeTurns: one at a time; who has no patience leaves it to go on.
func TestReloadsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, next := parsed(t, echo("a", "")), parsed(t, echo("a", ", max_body: 2MiB"))
		system := &fakePools{hold: make(chan struct{})}
		r := reloading(t, first, system, &next)
		life, over := context.WithCancel(t.Context())
		r.start(life)
		hasty, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		if _, err := r.reload(hasty); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want DeadlineExceeded", err)
		}
		r.signal()
		r.signal() // both are one
		if _, err := r.reload(hasty); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while others wait: got %v, want DeadlineExceeded", err)
		}
		close(system.hold)
		synctest.Wait()
		if len(system.done) != 1 {
			t.Errorf("got %v, want one replacement", system.done)
		}
		next = parsed(t, echo("a", ""))
		if changes, err := r.reload(t.Context()); actions(changes) != "restart a" || err != nil {
			t.Errorf("got %v, %v", changes, err)
		}
		r.read = func() (*config.File, error) { panic("lost my head") }
		if _, err := r.reload(t.Context()); err == nil || !strings.Contains(err.Error(), "lost my head") {
			t.Errorf("a panic: got %v", err)
		}
		over()
	})
}
