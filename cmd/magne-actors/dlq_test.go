package main

import (
	"strings"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/dlq"
)

func TestParsePace(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "10": 100 * time.Millisecond, "10/s": 100 * time.Millisecond, "600/m": 100 * time.Millisecond, "0.5/s": 2 * time.Second, "1/h": time.Hour,
	} {
		if p, err := parsePace(text); err != nil || p.interval != want {
			t.Errorf("%q: got %+v, %v, want %v", text, p, err, want)
		}
	}
	for _, text := range []string{"0", "-1/s", "fast", "10/x", "NaN", "/s", "0.000001/h", "10/"} {
		if p, err := parsePace(text); err == nil {
			t.Errorf("%q: got %+v", text, p)
		}
	}
}

// TestPace: each waits for its turn; what was late is not caught up.
func TestPace(t *testing.T) {
	now := time.Unix(0, 0)
	p := &pace{interval: time.Second}
	for i, want := range []time.Duration{0, time.Second, 2 * time.Second} {
		if got := p.next(now); got != want {
			t.Errorf("%d: got %v, want %v", i, got, want)
		}
	}
	if got := p.next(now.Add(time.Minute)); got != 0 {
		t.Errorf("late: got %v", got)
	}
	if got := p.next(now.Add(time.Minute)); got != time.Second {
		t.Errorf("after that: got %v, want 1s", got)
	}
	var fast pace
	for range 3 {
		if got := fast.next(now); got != 0 {
			t.Errorf("without a limit: got %v", got)
		}
	}
}

// TestBounded: the beginning of a text has no half characters; bytes are cut anywhere.
func TestBounded(t *testing.T) {
	d := &broker.Delivery{Body: []byte("aé€")}
	for n, want := range map[int]string{0: "", 1: "a", 2: "a", 3: "aé", 4: "aé", 5: "aé", 6: "aé€", 100: "aé€"} {
		if got := bounded(d, n); got.Body == nil || *got.Body != want {
			t.Errorf("%d bytes: got %+v, want %q", n, got, want)
		}
	}
	if got := bounded(&broker.Delivery{Body: []byte("\xff\xfe\xfd")}, 2); string(got.BodyBytes) != "\xff\xfe" {
		t.Errorf("bytes: got %+v", got)
	}
	if string(d.Body) != "aé€" {
		t.Error("the message was changed")
	}
}

func TestShortened(t *testing.T) {
	for text, want := range map[string]string{
		"": "", `say "no"`: `say "no"`, "a\x1bb": `"a\x1bb"`, strings.Repeat("é", 61): strings.Repeat("é", 59) + "…", strings.Repeat("é", 60): strings.Repeat("é", 60),
	} {
		if got := shortened(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// TestGroupTable: what a publisher calls its task does not push the error away.
func TestGroupTable(t *testing.T) {
	text := groupTable([]dlq.Group{{ID: "a", Task: strings.Repeat("t", 5000), Error: "boom"}, {ID: "b", Error: "bang"}})
	for line := range strings.Lines(text) {
		if len(line) > 200 {
			t.Errorf("a line of %d characters", len(line))
		}
	}
	if !strings.Contains(text, "-     -") || !strings.Contains(text, "boom") {
		t.Errorf("got\n%s", text)
	}
}
