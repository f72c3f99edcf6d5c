package top

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/cockroachdb/datadriven"

	"github.com/magne-actors/magne-actors/supervisor"
)

// screen is a Model without a terminal: its commands run at once, and time goes on
// when the test says so.
type screen struct {
	*Model
	t    testing.TB
	now  time.Time
	cur  Snapshot
	err  error    // of the next fetch
	did  []string // what was asked of the instance
	gone bool     // quit
}

// newScreen returns a screen that has asked for nothing yet.
func newScreen(tb testing.TB, color bool, width, height int) *screen {
	tb.Helper()
	s := &screen{t: tb, now: time.Date(2026, 1, 2, 15, 0, 0, 0, time.UTC)}
	did := func(verb string) func(context.Context, string) error {
		return func(_ context.Context, id string) error {
			s.did = append(s.did, verb+" "+id)
			if strings.Contains(id, "broken") {
				return errors.New("it does\x1b[2J not start")
			}
			return nil
		}
	}
	s.Model = New(tb.Context(), Options{
		Fetch:   func(context.Context) (Snapshot, error) { s.cur.Time = s.now; return s.cur, s.err },
		Restart: did("restart"), Pause: did("pause"), Resume: did("resume"),
		Scale: func(ctx context.Context, pool string, n int) error {
			return did("scale to "+strconv.Itoa(n))(ctx, pool)
		},
		Version: "0.1.0", Color: color, Now: func() time.Time { return s.now },
	})
	s.wait = func(time.Duration) tea.Cmd { return nil }
	s.send(tea.WindowSizeMsg{Width: width, Height: height})
	return s
}

// send gives the Model a message, and those of the commands that it causes.
func (s *screen) send(msg tea.Msg) {
	_, cmd := s.Update(msg)
	s.run(cmd)
}

func (s *screen) run(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	switch msg := cmd().(type) {
	case tea.BatchMsg:
		for _, c := range msg {
			s.run(c)
		}
	case tea.QuitMsg:
		s.gone = true
	default:
		s.send(msg)
	}
}

// pressed are the keys with names, other text is typed letter by letter.
func (s *screen) pressed(names ...string) {
	for _, name := range names {
		if code, ok := map[string]tea.Key{
			"up": {Code: tea.KeyUp}, "down": {Code: tea.KeyDown}, "left": {Code: tea.KeyLeft}, "right": {Code: tea.KeyRight},
			"pgup": {Code: tea.KeyPgUp}, "pgdown": {Code: tea.KeyPgDown}, "home": {Code: tea.KeyHome}, "end": {Code: tea.KeyEnd},
			"enter": {Code: tea.KeyEnter}, "esc": {Code: tea.KeyEscape}, "backspace": {Code: tea.KeyBackspace},
			"space": {Code: ' ', Text: " "}, "ctrl+u": {Code: 'u', Mod: tea.ModCtrl}, "ctrl+c": {Code: 'c', Mod: tea.ModCtrl},
		}[name]; ok {
			s.send(tea.KeyPressMsg(code))
			continue
		}
		for _, r := range name {
			s.send(tea.KeyPressMsg{Code: r, Text: string(r)})
		}
	}
}

// TestScreen draws what testdata says. Rewrite with
// go test ./internal/top -rewrite; commit a change only when you want it.
func TestScreen(t *testing.T) {
	datadriven.Walk(t, "testdata/screen", func(t *testing.T, path string) {
		var s *screen
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "new" {
				width, height := 80, 24
				d.MaybeScanArgs(t, "width", &width)
				d.MaybeScanArgs(t, "height", &height)
				s = newScreen(t, d.HasArg("color"), width, height)
			}
			return s.directive(t, d)
		})
	})
}

// directive does one directive of testdata and returns the screen.
func (s *screen) directive(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	switch d.Cmd {
	case "new":
	case "resize":
		var width, height int
		d.ScanArgs(t, "width", &width)
		d.ScanArgs(t, "height", &height)
		s.send(tea.WindowSizeMsg{Width: width, Height: height})
	case "sample", "unreachable":
		after := "0s"
		d.MaybeScanArgs(t, "after", &after)
		passed, err := time.ParseDuration(after)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		s.now = s.now.Add(passed)
		if s.err = nil; d.Cmd == "sample" {
			s.cur = snapshot(t, d)
		} else {
			s.err = errors.New(d.Input)
		}
		s.send(tick{})
	case "keys":
		for _, arg := range d.CmdArgs {
			s.pressed(arg.Key)
		}
	case "type":
		s.pressed(d.Input)
	case "paste":
		s.send(tea.PasteMsg{Content: d.Input})
	default:
		d.Fatalf(t, "unknown directive %q", d.Cmd)
	}
	return s.shown()
}

// shown are the lines of the screen, and what it did to the instance.
func (s *screen) shown() string {
	var b strings.Builder
	for _, line := range s.lines() {
		b.WriteString(strings.ReplaceAll(strings.TrimRight(line, " "), "\x1b", `\e`) + "|\n")
	}
	for _, did := range s.did {
		b.WriteString("did " + did + "\n")
	}
	if s.did = nil; s.gone {
		b.WriteString("quit\n")
	}
	return b.String()
}

// snapshot is a tree in JSON.
func snapshot(t *testing.T, d *datadriven.TestData) Snapshot {
	t.Helper()
	s := Snapshot{Root: new(supervisor.Node)}
	if err := json.Unmarshal([]byte(d.Input), s.Root); err != nil {
		d.Fatalf(t, "%v", err)
	}
	return s
}
