package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/internal/osproc"
	"github.com/magne-actors/magne-actors/task"
)

func TestVerdict(t *testing.T) {
	timeout, stopped := ending{why: "timeout", after: time.Minute}, cancelledBy(context.Canceled)
	for _, tt := range []struct {
		name string
		exit osproc.Exit
		end  ending
		kind task.Kind
		why  string // of a LostError, or empty
	}{
		{"ok", osproc.Exit{}, ending{}, task.KindDone, ""},
		{"ok after all", osproc.Exit{Cause: osproc.Stopped}, timeout, task.KindDone, ""},
		{"failed", osproc.Exit{Code: 1}, ending{}, task.KindFailed, ""},
		{"failed late", osproc.Exit{Code: 1}, timeout, task.KindFailed, ""},
		{"stopped", osproc.Exit{Code: 143}, stopped, task.KindFailed, "operator"},
		{"the pool's timeout", osproc.Exit{Code: 143}, cancelledBy(context.DeadlineExceeded), task.KindFailed, "timeout"},
		{"discard while stopped", osproc.Exit{Code: 65}, stopped, task.KindDiscard, ""},
		{"retry", osproc.Exit{Code: 75}, ending{}, task.KindRetry, ""},
		{"config", osproc.Exit{Code: 78}, ending{}, task.KindDiscard, ""},
		{"crash", osproc.Exit{Code: -1, Signal: syscall.SIGSEGV, Cause: osproc.Signaled}, ending{}, task.KindFailed, "exit"},
		{"memory", osproc.Exit{Code: -1, Signal: syscall.SIGKILL, Cause: osproc.OOMCgroup}, timeout, task.KindFailed, "memory"},
		{"killed", osproc.Exit{Code: -1, Signal: syscall.SIGKILL, Cause: osproc.Killed}, timeout, task.KindFailed, "timeout"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := verdict(tt.exit, tt.end)
			if got := task.OutcomeOf(err).Kind; got != tt.kind {
				t.Errorf("got %v, want %v: %v", got, tt.kind, err)
			}
			if e, ok := errors.AsType[*LostError](err); ok != (tt.why != "") || ok && e.Why != tt.why {
				t.Errorf("got %v, want lost (%s)", err, tt.why)
			}
			if tt.end.cause != nil && tt.why != "" && !errors.Is(err, tt.end.cause) {
				t.Errorf("%v does not wrap %v", err, tt.end.cause)
			}
		})
	}
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		for _, tt := range []struct {
			m    time.Duration
			ctx  context.Context
			t    Timeout
			want time.Duration // 0: none
		}{
			{0, t.Context(), Timeout{}, 0},
			{5 * time.Second, t.Context(), Timeout{}, 5 * time.Second},
			{5 * time.Second, ctx, Timeout{}, 3 * time.Second},
			{5 * time.Second, ctx, Timeout{Hard: 2 * time.Second}, 2 * time.Second},
			{0, t.Context(), Timeout{Soft: time.Second, Hard: 2 * time.Second}, time.Second},
		} {
			m := &task.Message{}
			if tt.m > 0 {
				m.Deadline = now.Add(tt.m)
			}
			got := deadline(tt.ctx, m, tt.t, now)
			if got.IsZero() != (tt.want == 0) || tt.want > 0 && got.Sub(now) != tt.want {
				t.Errorf("%+v: got %v", tt, got.Sub(now))
			}
		}
	})
}

func TestLastLines(t *testing.T) {
	tail := []osproc.Line{
		{Stream: osproc.Stderr, Text: "first"},
		{Stream: osproc.Stdout, Text: "out"},
		{Stream: osproc.Stderr, Text: "bad \xff"},
		{Stream: osproc.Stderr, Text: " \r"},
		{Stream: osproc.Stderr, Text: "0123456789"},
	}
	for _, tt := range []struct {
		n, bytes int
		want     string
	}{
		{1, 100, "0123456789"}, {1, 4, "0123..."}, {2, 100, "bad \uFFFD\n0123456789"}, {9, 100, "first\nbad \uFFFD\n0123456789"}, {9, 10, "0123456789"},
	} {
		if got := lastLines(tail, tt.n, tt.bytes); got != tt.want {
			t.Errorf("%d lines, %d bytes: got %q, want %q", tt.n, tt.bytes, got, tt.want)
		}
	}
}

// TestRedactor: whatever the secrets and the text, none of them is left.
func TestRedactor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secrets := rapid.SliceOfN(rapid.StringMatching(`[a-c"\n]{2,6}`), 1, 4).Draw(t, "secrets")
		r := newRedactor(secrets)
		for _, s := range secrets {
			before, after := rapid.StringMatching(`[x-z ]{0,5}`).Draw(t, "before"), rapid.StringMatching(`[x-z ]{0,5}`).Draw(t, "after")
			got := r.text(before + s + after)
			if rest := strings.ReplaceAll(got, redacted, ""); strings.ContainsAny(rest, `abc"`) {
				t.Fatalf("%q is left of %q in %q", rest, s, got)
			}
		}
	})
}

func TestRedactorLine(t *testing.T) {
	r := newRedactor([]string{"hunter2", `a"b`, ""})
	for _, tt := range []struct {
		text string
		cut  int
		want string
	}{
		{"nothing", 0, "nothing"},
		{"hunter2 and hunter2", 0, "[redacted] and [redacted]"},
		{`{"p":"a\"b"}`, 0, `{"p":"[redacted]"}`},
		{"so it is hunt", 9, "so it is [redacted]"},
		{"so it is hunt", 0, "so it is hunt"},
	} {
		if got := r.line(osproc.Line{Text: tt.text, Cut: tt.cut}); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestReadLine(t *testing.T) {
	for _, tt := range []struct {
		text    string
		level   slog.Level
		message string
		attrs   int
	}{
		{"plain", slog.LevelInfo, "plain", 0},
		{`{"level":"error","msg":"m","a":1}`, slog.LevelError, "m", 1},
		{`{"level":50,"msg":"m","time":1}`, slog.LevelError, "m", 0},
		{`{"level":20,"msg":"m"}`, slog.LevelDebug, "m", 0},
		{`{"level":1e300,"msg":"m"}`, slog.LevelError, "m", 0},
		{`{"severity":"WARNING","message":"m"}`, slog.LevelWarn, "m", 0},
		{`{"msg":3}`, slog.LevelInfo, `{"msg":3}`, 0},
		{`{"msg":`, slog.LevelInfo, `{"msg":`, 0},
	} {
		level, message, attrs := (&lineLog{redact: newRedactor(nil)}).read(tt.text)
		if level != tt.level || message != tt.message || len(attrs) != tt.attrs {
			t.Errorf("%s: got %v %q %v", tt.text, level, message, attrs)
		}
	}
	if _, message, _ := (&lineLog{redact: newRedactor(nil), parse: ParseText}).read(`{"msg":"m"}`); message != `{"msg":"m"}` {
		t.Errorf("text: got %q", message)
	}
}

// TestLeftOutIsSaidOnceASecond: a process that floods its log does not have half of
// what is let through be about what is not, and nothing of it goes uncounted.
func TestLeftOutIsSaidOnceASecond(t *testing.T) {
	var buf bytes.Buffer
	l := newLineLog(slog.New(slog.NewJSONHandler(&buf, nil)), newRedactor(nil), ParseAuto)
	l.started(7)
	begin := time.Now()
	for i := range 3000 { // one a millisecond, each after three that were dropped
		l.add(osproc.Line{Time: begin.Add(time.Duration(i) * time.Millisecond), Text: "x", Dropped: 3})
	}
	l.leftOut(5, 7)
	var said, left int
	for line := range bytes.Lines(buf.Bytes()) {
		var r struct{ Lines int }
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		if left += r.Lines; r.Lines > 0 {
			said++
		}
	}
	if said != 4 || left != 9005 {
		t.Errorf("said %d times that %d lines are left out, want 4 times and 9005", said, left)
	}
}
