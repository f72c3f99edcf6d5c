package top

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/supervisor"
)

// anyTree draws a tree with texts that nobody would choose.
func anyTree(t *rapid.T) Snapshot {
	n := 0
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "router", "up", "failed", "\x1b[2J\x1b]0;x\a", "世界", "a\nb\tc", "\xff\xfe", "e\u0301\u200d👩", "\ufe0f❤\ufe0f👋🏽"}))
	number := rapid.Ptr(rapid.Int64(), true)
	var node func(depth int) *supervisor.Node
	node = func(depth int) *supervisor.Node {
		n++
		c := &supervisor.Node{
			ID: fmt.Sprintf("%s/%d", text.Draw(t, "id"), rapid.IntRange(0, 20).Draw(t, "n")), Kind: text.Draw(t, "kind"), State: text.Draw(t, "state"),
			LastError: text.Draw(t, "error"), Detail: text.Draw(t, "detail"), Queued: number.Draw(t, "queued"), InFlight: number.Draw(t, "in flight"),
			High: number.Draw(t, "high"), Settled: number.Draw(t, "settled"), Handled: number.Draw(t, "handled"), Restarts: number.Draw(t, "restarts"),
		}
		if rapid.Bool().Draw(t, "process") {
			c.PID = new(rapid.Int().Draw(t, "pid"))
			c.CPU, c.RSS, c.Task = rapid.Float64().Draw(t, "cpu"), rapid.Int64().Draw(t, "rss"), text.Draw(t, "task")
			c.TasksDone, c.TasksFailed = number.Draw(t, "done"), number.Draw(t, "failed")
		}
		if rapid.Bool().Draw(t, "up") {
			c.Since = new(time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "since"), 0))
		}
		for range rapid.IntRange(0, max(4-depth, 0)).Draw(t, "children") {
			if n < 20 {
				c.Children = append(c.Children, node(depth+1))
			}
		}
		return c
	}
	return Snapshot{Root: node(0)}
}

// TestAnything: whatever is pressed and whatever the instance says, nothing
// panics, the cursor is on a row, and the lines fit the window and hold no control
// character but the colours of the Model.
func TestAnything(t *testing.T) {
	names := []string{
		"up", "down", "left", "right", "pgup", "pgdown", "home", "end", "enter", "esc", "space", "backspace", "ctrl+u",
		"-", "+", "/", "s", "S", "t", "J", "K", "r", "p", "u", "c", "?", "y", "n", "7", "x", "世",
	}
	rapid.Check(t, func(rt *rapid.T) {
		s := newScreen(t, rapid.Bool().Draw(rt, "color"), 80, 24)
		rt.Repeat(map[string]func(*rapid.T){
			"sample": func(rt *rapid.T) {
				s.now = s.now.Add(time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(rt, "passed")))
				if s.err = nil; rapid.IntRange(0, 4).Draw(rt, "fails") == 0 {
					s.err = errors.New(rapid.String().Draw(rt, "error"))
				}
				s.cur = anyTree(rt)
				s.send(tick{})
			},
			"key":   func(rt *rapid.T) { s.pressed(rapid.SampledFrom(names).Draw(rt, "key")) },
			"paste": func(rt *rapid.T) { s.send(tea.PasteMsg{Content: rapid.String().Draw(rt, "text")}) },
			"resize": func(rt *rapid.T) {
				s.send(tea.WindowSizeMsg{Width: rapid.IntRange(0, 200).Draw(rt, "width"), Height: rapid.IntRange(0, 60).Draw(rt, "height")})
			},
			"": func(rt *rapid.T) { s.holds(rt) },
		})
	})
}

// holds fails the test unless the screen is as every screen must be.
func (s *screen) holds(t *rapid.T) {
	if s.cursor < 0 || s.cursor >= max(len(s.rows), 1) {
		t.Fatalf("the cursor is on row %d of %d", s.cursor, len(s.rows))
	}
	if room := s.layout().rows; room > 0 && len(s.rows) > 0 && (s.cursor < s.offset || s.cursor >= s.offset+room) {
		t.Fatalf("the cursor is on row %d, the window shows %d from %d", s.cursor, room, s.offset)
	}
	lines := s.lines()
	if s.width > 0 && len(lines) != s.height {
		t.Fatalf("%d lines in a window of %d", len(lines), s.height)
	}
	for _, line := range lines {
		if w := ansi.StringWidthWc(line); w > s.width {
			t.Fatalf("a line of %d in a window of %d: %q", w, s.width, line)
		}
		for _, colour := range []string{bold, faint, reverse, plain, "\x1b[31m", "\x1b[32m", "\x1b[33m"} {
			line = strings.ReplaceAll(line, colour, "")
		}
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) {
			t.Fatalf("a control character: %q", line)
		}
	}
}

// loop runs a Model's commands as bubbletea does, until its context ends.
func loop(t *testing.T, m *Model) {
	t.Helper()
	messages := make(chan tea.Msg)
	var commands sync.WaitGroup
	defer commands.Wait()
	var run func(cmd tea.Cmd)
	run = func(cmd tea.Cmd) {
		if cmd == nil {
			return
		}
		commands.Go(func() {
			msg := cmd()
			if batch, ok := msg.(tea.BatchMsg); ok {
				for _, c := range batch {
					run(c) // counted before this one is done
				}
				return
			}
			select {
			case messages <- msg:
			case <-m.ctx.Done():
			}
		})
	}
	run(m.Init())
	for {
		select {
		case msg := <-messages:
			_, cmd := m.Update(msg)
			run(cmd)
		case <-m.ctx.Done():
			return
		}
	}
}

// TestInterval: one fetch in each interval, never two at once; one that does not
// answer is given up after the timeout, and the next follows at once.
func TestInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		began := time.Now()
		var at []time.Duration
		running := 0
		m := New(ctx, Options{Interval: 2 * time.Second, Fetch: func(ctx context.Context) (Snapshot, error) {
			at = append(at, time.Since(began))
			if running++; running > 1 {
				t.Error("two fetches at once")
			}
			defer func() { running-- }()
			switch len(at) {
			case 2: // slower than the interval
				time.Sleep(3 * time.Second)
			case 3: // hangs
				<-ctx.Done()
				return Snapshot{}, ctx.Err()
			}
			return Snapshot{Time: time.Now(), Root: &supervisor.Node{ID: "root"}}, nil
		}})
		loop(t, m)
		want := []time.Duration{0, 2, 5, 10, 12, 14}
		for i, w := range want {
			if at[i] != w*time.Second {
				t.Fatalf("fetches began after %v, want %v (seconds)", at[:len(want)], want)
			}
		}
	})
}

// TestMeasureWithoutTree: nothing is no tree.
func TestMeasureWithoutTree(t *testing.T) {
	if s := Measure(Snapshot{}, Snapshot{}); len(s.Nodes) != 0 || s.SettledRate != nil || s.Health.String() != "failed" {
		t.Errorf("got %+v", s)
	}
}

// TestNatural: ids as people count.
func TestNatural(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"p/9", "p/10", -1},
		{"p/10", "p/9", 1},
		{"p/10", "p/10", 0},
		{"p/009", "p/9", 0},
		{"a", "b", -1},
		{"a", "a1", -1},
		{"a1b", "a1", 1},
		{"", "", 0},
		{"x18446744073709551616", "x18446744073709551617", -1},
	} {
		if got := natural(c.a, c.b); got != c.want {
			t.Errorf("natural(%q, %q): got %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
