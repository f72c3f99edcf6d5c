package main

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/ladder"
)

func TestDueFlags(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		in, at, want string // want: when, or part of the error
	}{
		{in: "10m", want: "2026-11-23T10:10:00Z"},
		{in: "1h30m", want: "2026-11-23T11:30:00Z"},
		{in: "7d", want: "2026-11-30T10:00:00Z"},
		{in: "1w2d12h", want: "2026-12-02T22:00:00Z"},
		{in: "366d", want: "2027-11-24T10:00:00Z"},
		{in: "0s", want: "2026-11-23T10:00:00Z"},
		{in: "-5m", want: "2026-11-23T09:55:00Z"},
		{in: "500ms", want: "2026-11-23T10:00:00.5Z"},
		{in: "366d1s", want: "more than a year"},
		{in: "99999w", want: "no time to wait"},
		{in: "1d-2h", want: "no time to wait"},
		{in: "d", want: "no time to wait"},
		{in: "2d1w", want: "no time to wait"},
		{in: "10", want: "no time to wait"},
		{in: "soon", want: "no time to wait"},
		{at: "2026-12-01T08:00Z", want: "2026-12-01T08:00:00Z"},
		{at: "2026-12-01T08:00+02:00", want: "2026-12-01T06:00:00Z"},
		{at: "2026-12-01T08:00:30.5Z", want: "2026-12-01T08:00:30.5Z"},
		{at: "1999-01-01T00:00Z", want: "1999-01-01T00:00:00Z"},
		{at: "2028-12-01T08:00Z", want: "more than a year"},
		{at: "2026-12-01T08:00", want: "no time zone"},
		{at: "2026-12-01", want: "no moment"},
		{at: "tomorrow", want: "no moment"},
	} {
		due, err := (&dueFlags{in: c.in, at: c.at}).read(now)
		switch {
		case err == nil && due.Format(time.RFC3339Nano) == c.want:
		case err != nil && strings.Contains(err.Error(), c.want):
		default:
			t.Errorf("--in %q --at %q: got %v, %v, want %s", c.in, c.at, due, err, c.want)
		}
	}
	if due, err := (&dueFlags{}).read(now); due != nil || err != nil {
		t.Errorf("neither: got %v, %v", due, err)
	}
}

// slowLadder is a broker whose ladder takes its time.
type slowLadder struct {
	broker.Session
	takes time.Duration
}

func (s slowLadder) Apply(context.Context, broker.Topology) error {
	<-time.After(s.takes)
	return nil
}

// TestInCountsFromThePublication, and --at is a moment whatever happens before it.
func TestInCountsFromThePublication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for in, want := range map[time.Duration]time.Duration{10 * time.Second: 10 * time.Second, 0: 6 * time.Second} {
			at := time.Now().Add(10 * time.Second)
			x := &target{due: &at, in: in, timeout: time.Minute}
			x.queue.Name = "work"
			if err := x.prepare(t.Context(), slowLadder{takes: 2 * time.Second}); err != nil {
				t.Fatal(err)
			}
			if got := time.Until(*x.due); got != want {
				t.Errorf("--in %v: due in %v, want %v", in, got, want)
			}
		}
	})
}

func TestDueIn(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for wait, want := range map[time.Duration]string{
		-time.Hour: ", due 2026-11-23T09:00:00Z, which is over: at once", 0: ", due 2026-11-23T10:00:00Z, which is over: at once",
		time.Millisecond: ", due 2026-11-23T10:00:00Z (in less than 1s)", time.Minute - time.Millisecond: ", due 2026-11-23T10:00:59Z (in 1m0s)",
	} {
		if got := dueIn(now.Add(wait), now); got != want {
			t.Errorf("%v: got %q, want %q", wait, got, want)
		}
	}
}

// TestFlagsThatExcludeOneAnother: in words of ours, and of what was typed alone.
func TestFlagsThatExcludeOneAnother(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"publish --in 5s --at 2026-12-01T08:00Z hello", "magne-actors: --at and --in cannot be combined\n"},
		{"queue list --url amqp://mq -c x.yaml", "magne-actors: --config and --url cannot be combined\n"},
	} {
		var stderr strings.Builder
		code := run(t.Context(), strings.Fields(c.args), strings.NewReader(""), io.Discard, &stderr)
		if code != exitUsage || !strings.HasPrefix(stderr.String(), c.want) {
			t.Errorf("%s: got %d %q, want %q", c.args, code, stderr.String(), c.want)
		}
	}
}

// TestPostpone: the publication of somebody else is not changed but in what is needed.
func TestPostpone(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	headers := map[string]any{"mine": 1}
	p := &broker.Publication{Exchange: "x", RoutingKey: "work"}
	p.Headers = headers
	ladder.Postpone(p, "work", now, now)
	if p.Exchange != "x" || p.RoutingKey != "work" || p.Headers["mine"] != 1 || p.Headers[ladder.HeaderQueue] != "work" {
		t.Errorf("due already: got %+v", p)
	}
	ladder.Postpone(p, "work", now.Add(time.Minute), now)
	if delay, queue, ok := ladder.Parse(p.RoutingKey); !ok || delay != time.Minute || queue != "work" || !p.Persistent {
		t.Errorf("due in a minute: got %+v", p)
	}
	if p.Headers[ladder.HeaderETA] != "2026-11-23T10:01:00.000Z" || len(headers) != 1 {
		t.Errorf("headers: got %v, of the caller %v", p.Headers, headers)
	}
}
