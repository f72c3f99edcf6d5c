package task_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/task"
)

func handler(err error) task.Handler {
	return task.HandlerFunc(func(context.Context, *task.Message) error { return err })
}

func TestMuxRun(t *testing.T) {
	mux := task.NewMux()
	mux.Handle("ok", handler(nil))
	mux.Handle("eof", handler(io.EOF))
	if err := mux.Run(t.Context(), &task.Message{Name: "ok"}); err != nil {
		t.Errorf("ok: got %v, want nil", err)
	}
	if err := mux.Run(t.Context(), &task.Message{Name: "eof"}); !errors.Is(err, io.EOF) {
		t.Errorf("eof: got %v, want EOF", err)
	}
	err := mux.Run(t.Context(), &task.Message{Name: "no\nsuch"})
	if !errors.Is(err, task.ErrUnknown) || err.Error() != `unknown task "no\nsuch"` {
		t.Errorf("got %v, want an error that wraps ErrUnknown and names the task", err)
	}
	if !mux.Has("ok") || mux.Has("OK") || !slices.Equal(mux.Names(), []string{"eof", "ok"}) {
		t.Errorf("got Has(ok) %v, Has(OK) %v, Names %v", mux.Has("ok"), mux.Has("OK"), mux.Names())
	}
}

func TestMuxZeroValue(t *testing.T) {
	var mux task.Mux
	if err := mux.Run(t.Context(), &task.Message{Name: "a"}); !errors.Is(err, task.ErrUnknown) {
		t.Errorf("got %v, want ErrUnknown", err)
	}
	var other task.Mux
	other.Handle("a", handler(nil))
	if err := other.Run(t.Context(), &task.Message{Name: "a"}); err != nil {
		t.Errorf("got %v, want nil", err)
	}
}

func TestMuxMiddleware(t *testing.T) {
	var log []string
	note := func(name string) task.Middleware {
		return func(next task.Handler) task.Handler {
			log = append(log, "build "+name)
			return task.HandlerFunc(func(ctx context.Context, m *task.Message) error {
				err := next.Handle(ctx, m)
				_, panicked := errors.AsType[*task.PanicError](err)
				log = append(log, name+" "+m.Name)
				if panicked {
					log = append(log, name+" sees the panic")
				}
				return err
			})
		}
	}
	mux := task.NewMux()
	mux.Handle("boom", task.HandlerFunc(func(context.Context, *task.Message) error { panic("x") }))
	mux.Use(note("outer"), note("middle"))
	mux.Use(note("inner"))
	for _, name := range []string{"boom", "none"} {
		if err := mux.Run(t.Context(), &task.Message{Name: name}); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	want := []string{
		"build inner", "build middle", "build outer",
		"inner boom", "inner sees the panic", "middle boom", "middle sees the panic", "outer boom", "outer sees the panic",
		"inner none", "middle none", "outer none",
	}
	if !slices.Equal(log, want) {
		t.Errorf("got %q, want %q", log, want)
	}
}

func TestMuxRecovers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		value any
		want  string
	}{
		{"text", "one\n two\tthree", "panic: one two three"},
		{"nil", nil, "panic: panic called with nil argument"},
		{"long", strings.Repeat("é", 1000), "panic: " + strings.Repeat("é", 128) + "..."},
		// An outcome inside a panic is not the handler's answer.
		{"outcome", task.Discard(io.EOF), "panic: EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mux := task.NewMux()
			mux.Handle("a", task.HandlerFunc(func(context.Context, *task.Message) error { panic(tt.value) }))
			err := mux.Run(t.Context(), &task.Message{Name: "a"})
			p, ok := errors.AsType[*task.PanicError](err)
			if !ok {
				t.Fatalf("got %v, want a *PanicError", err)
			}
			if !strings.HasPrefix(p.Error(), tt.want) || !strings.Contains(string(p.Stack), "TestMuxRecovers") {
				t.Errorf("got %q and stack %s, want %q and the stack of this test", p.Error(), p.Stack, tt.want)
			}
			if k := task.OutcomeOf(err).Kind; k != task.KindFailed {
				t.Errorf("got kind %v, want failed", k)
			}
		})
	}
}

func TestMuxRecoversMiddleware(t *testing.T) {
	mux := task.NewMux()
	mux.Handle("a", handler(nil))
	mux.Use(func(task.Handler) task.Handler {
		return task.HandlerFunc(func(context.Context, *task.Message) error { panic("in the middleware") })
	})
	err := mux.Run(t.Context(), &task.Message{Name: "a"})
	if _, ok := errors.AsType[*task.PanicError](err); !ok {
		t.Errorf("got %v, want a *PanicError", err)
	}
}

// A chain that cannot be built fails every run, not just the first.
func TestMuxBrokenMiddleware(t *testing.T) {
	mux := task.NewMux()
	mux.Handle("a", handler(nil))
	mux.Use(func(task.Handler) task.Handler { return nil })
	for i := range 2 {
		err := mux.Run(t.Context(), &task.Message{Name: "a"})
		if _, ok := errors.AsType[*task.PanicError](err); !ok {
			t.Errorf("run %d: got %v, want a *PanicError", i, err)
		}
	}
}

func TestMuxPanicsOnMisuse(t *testing.T) {
	var nilFunc task.HandlerFunc
	for want, misuse := range map[string]func(*task.Mux){
		"empty name":               func(x *task.Mux) { x.Handle("", handler(nil)) },
		"nil handler":              func(x *task.Mux) { x.Handle("a", nil) },
		`Handle("f") with a nil`:   func(x *task.Mux) { x.Handle("f", nilFunc) },
		"twice":                    func(x *task.Mux) { x.Handle("a", handler(nil)); x.Handle("a", handler(nil)) },
		"nil middleware":           func(x *task.Mux) { x.Use(nil) },
		"Handle after the first":   func(x *task.Mux) { _ = x.Run(t.Context(), &task.Message{}); x.Handle("a", handler(nil)) },
		"Use after the first":      func(x *task.Mux) { _ = x.Run(t.Context(), &task.Message{}); x.Use() },
		"which cannot be decoded ": func(*task.Mux) { task.Func(func(context.Context, chan int) error { return nil }) },
	} {
		func() {
			defer func() {
				if v, _ := recover().(string); !strings.Contains(v, want) {
					t.Errorf("got panic %q, want one with %q", v, want)
				}
			}()
			misuse(task.NewMux())
		}()
	}
}

// The first runs build the chain; under -race this shows that they may be many.
func TestMuxConcurrentFirstRuns(t *testing.T) {
	mux := task.NewMux()
	mux.Handle("a", handler(nil))
	built := 0
	mux.Use(func(next task.Handler) task.Handler { built++; return next })
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if err := mux.Run(t.Context(), &task.Message{Name: "a"}); err != nil {
				t.Errorf("got %v, want nil", err)
			}
		})
	}
	wg.Wait()
	if built != 1 {
		t.Errorf("got %d builds, want 1", built)
	}
}

func TestMuxRunDoesNotAllocate(t *testing.T) {
	mux := task.NewMux()
	mux.Handle("a", handler(nil))
	mux.Use(func(next task.Handler) task.Handler { return next })
	m := &task.Message{Name: "a"}
	if n := testing.AllocsPerRun(100, func() { _ = mux.Run(t.Context(), m) }); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func TestOutcomeOf(t *testing.T) {
	retry := task.Retry(io.EOF, time.Second)
	for _, tt := range []struct {
		name  string
		err   error
		kind  task.Kind
		after time.Duration
		text  string
	}{
		{"nil", nil, task.KindDone, 0, ""},
		{"plain", io.EOF, task.KindFailed, 0, "EOF"},
		{"cancelled", context.Canceled, task.KindFailed, 0, "context canceled"},
		{"unknown", task.ErrUnknown, task.KindDiscard, 0, "unknown task"},
		{"retry", retry, task.KindRetry, time.Second, "EOF"},
		{"retry of nil", task.Retry(nil, 0), task.KindRetry, 0, "the task asked to be retried"},
		{"retry in the past", task.Retry(nil, -1), task.KindRetry, 0, "the task asked to be retried"},
		{"discard", task.Discard(io.EOF), task.KindDiscard, 0, "EOF"},
		{"discard of nil", task.Discard(nil), task.KindDiscard, 0, "the task was discarded"},
		{"the outermost counts", task.Discard(retry), task.KindDiscard, 0, "EOF"},
		{"unknown, but to be retried", task.Retry(task.ErrUnknown, time.Minute), task.KindRetry, time.Minute, "unknown task"},
		{"joined", errors.Join(io.ErrClosedPipe, retry), task.KindRetry, time.Second, "io: read/write on closed pipe\nEOF"},
	} {
		o := task.OutcomeOf(tt.err)
		text := ""
		if o.Err != nil {
			text = o.Err.Error()
		}
		if o.Kind != tt.kind || o.After != tt.after || text != tt.text {
			t.Errorf("%s: got %v %v %q, want %v %v %q", tt.name, o.Kind, o.After, text, tt.kind, tt.after, tt.text)
		}
	}
	if !errors.Is(retry, io.EOF) || !errors.Is(task.Discard(retry), io.EOF) {
		t.Error("Retry and Discard do not wrap their errors")
	}
}

// Of any pile of outcomes the last one put on top decides, whatever plain
// wrapping lies between.
func TestOutcomeOutermostWins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		err, want := io.EOF, task.Outcome{Kind: task.KindFailed}
		for range rapid.IntRange(0, 8).Draw(t, "layers") {
			switch rapid.IntRange(0, 2).Draw(t, "layer") {
			case 0:
				err = errors.Join(err)
			case 1:
				want = task.Outcome{Kind: task.KindRetry, After: time.Duration(rapid.IntRange(0, 1e9).Draw(t, "after"))}
				err = task.Retry(err, want.After)
			case 2:
				want = task.Outcome{Kind: task.KindDiscard}
				err = task.Discard(err)
			}
		}
		if got := task.OutcomeOf(err); got.Kind != want.Kind || got.After != want.After || !errors.Is(got.Err, io.EOF) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

func TestKindString(t *testing.T) {
	for k, want := range map[task.Kind]string{
		task.KindDone: "done", task.KindFailed: "failed", task.KindRetry: "retry", task.KindDiscard: "discard", 9: "Kind(9)",
	} {
		if got := k.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func BenchmarkMuxRun(b *testing.B) {
	mux := task.NewMux()
	mux.Handle("noop", handler(nil))
	m, ctx := &task.Message{Name: "noop"}, b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if err := mux.Run(ctx, m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFunc(b *testing.B) {
	h := task.Func(func(context.Context, resizeArgs) error { return nil })
	m, ctx := &task.Message{Name: "resize", Args: []byte(`["a/b/c.png", 640]`)}, b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if err := h.Handle(ctx, m); err != nil {
			b.Fatal(err)
		}
	}
}
