package actors

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/broker"
)

// liveErrors are errors as broker/amqp makes them, by a short name.
func liveErrors() map[string]error {
	closed := func(code int, text string, more ...error) error {
		return errors.Join(append(more, fmt.Errorf("%w: %w", broker.ErrChannelClosed, &broker.ReplyError{Code: code, Text: text}))...)
	}
	return map[string]error{
		"eof":       errors.New("EOF"),
		"refused":   broker.ErrUnreachable,
		"silent":    broker.ErrSilent,
		"cancelled": broker.ErrCancelled,
		"403":       closed(403, "ACCESS_REFUSED", broker.ErrDenied),
		"404":       closed(404, "NOT_FOUND", broker.ErrTopology),
		"405":       closed(405, "RESOURCE_LOCKED"),
		"406-late":  closed(406, "PRECONDITION_FAILED", broker.ErrAckTimeout),
		"406-tag":   closed(406, "PRECONDITION_FAILED", broker.ErrUnknownTag),
		"406-args":  closed(406, "PRECONDITION_FAILED", broker.ErrTopology),
		"541":       closed(541, "INTERNAL_ERROR"),
	}
}

func liveKinds() map[string]liveKind {
	return map[string]liveKind{
		"offline": liveOffline, "trying": liveTrying, "subscribed": liveSubscribed, "refused": liveRefused,
		"ended": liveEnded, "retired": liveRetired, "held": liveHeld, "drained": liveDrained,
	}
}

// TestLiveness plays what happens to a consumer, one event a line and one second
// after the other: "subscribed TAG", "ended ERROR in 1s", and so on.
func TestLiveness(t *testing.T) {
	datadriven.RunTest(t, "testdata/liveness.txt", func(t *testing.T, d *datadriven.TestData) string {
		t.Helper()
		start := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
		l, out := live{state: LiveConnecting, since: start}, &strings.Builder{}
		for i, line := range strings.Split(strings.TrimSpace(d.Input), "\n") {
			now := start.Add(time.Duration(i+1) * time.Second)
			words := strings.Fields(line)
			e := liveEvent{kind: liveKinds()[words[0]]}
			switch {
			case words[0] == "subscribed":
				e.tag = words[1]
			case len(words) > 1:
				if e.err = liveErrors()[words[1]]; e.err == nil {
					d.Fatalf(t, "unknown error %q", words[1])
				}
			}
			if len(words) == 4 {
				wait, err := time.ParseDuration(words[3])
				if err != nil {
					d.Fatalf(t, "%v", err)
				}
				e.next = now.Add(wait)
			}
			next, types := l.step(e, now)
			l = next
			fmt.Fprintf(out, "%-24s %s\n", line+":", picture(l, start))
			for _, event := range types {
				fmt.Fprintf(out, "%26s event %s\n", "", event)
			}
		}
		return out.String()
	})
}

func picture(l live, start time.Time) string {
	s := fmt.Sprintf("%s since %v, shown as %s", l.state, l.since.Sub(start), l.word())
	if l.tag != "" {
		s += ", tag " + l.tag
	}
	if l.cause != "" {
		s += fmt.Sprintf(", %s %d after %d tries", l.fault, l.code, l.tries)
	}
	if !l.next.IsZero() {
		s += ", again at " + l.next.Sub(start).String()
	}
	return s
}

// TestLivenessHolds checks what must be true whatever happens.
func TestLivenessHolds(t *testing.T) {
	kinds := []liveKind{liveOffline, liveTrying, liveSubscribed, liveRefused, liveEnded, liveRetired, liveHeld, liveDrained}
	var names []string
	for name := range liveErrors() {
		names = append(names, name)
	}
	slices.Sort(names)
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(0, 0)
		l := live{state: LiveConnecting, since: now}
		for range rapid.IntRange(1, 30).Draw(t, "events") {
			now = now.Add(time.Second)
			e := liveEvent{kind: rapid.SampledFrom(kinds).Draw(t, "kind")}
			if e.kind == liveOffline || e.kind == liveRefused || e.kind == liveEnded {
				e.err = liveErrors()[rapid.SampledFrom(names).Draw(t, "error")]
				e.next = now.Add(time.Second)
			}
			n, types := l.step(e, now)
			switch {
			case l.state == LiveDraining && (n != l || len(types) > 0):
				t.Errorf("draining: got %+v and %v, want no change", n, types)
			case n.state == LiveConsuming && (n.cause != "" || !n.next.IsZero() || n.fault != broker.FaultNone || n.tries != 0):
				t.Errorf("a consumer that works has a cause: %+v", n)
			case n.state == LiveConsuming && l.state != LiveConsuming && e.kind != liveSubscribed:
				t.Errorf("consuming without the broker's answer: %+v", e)
			case (n.state != l.state) != n.since.Equal(now) && n != l:
				t.Errorf("from %+v to %+v: the time is not that of the change", l, n)
			case n.word() != l.word() && !slices.Contains(types, eventOf(n.word())):
				t.Errorf("from %s to %s: events %v", l.word(), n.word(), types)
			case l.state == LiveConsuming && n.state != LiveConsuming && len(types) == 0:
				t.Errorf("from %s to %s without an event", l.state, n.state)
			case (n.state == LiveFailed || n.state == LiveCancelled || n.state == LiveChannelClosed) && n.cause == "":
				t.Errorf("%s without a cause", n.state)
			}
			l = n
		}
	})
}

func TestLivenessShown(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	works := live{state: LiveConsuming, since: at(10)}
	for name, c := range map[string]struct {
		live         live
		blocked      time.Time
		paused       bool
		state, cause string
		since        time.Time
	}{
		"consuming":              {works, time.Time{}, false, LiveConsuming, "", at(10)},
		"paused":                 {works, time.Time{}, true, LivePaused, "", at(20)},
		"blocked":                {works, at(30), false, LiveBlocked, "memory", at(30)},
		"blocked before it":      {works, at(5), false, LiveBlocked, "memory", at(10)},
		"blocked counts more":    {works, at(30), true, LiveBlocked, "memory", at(30)},
		"a failure counts most":  {live{state: LiveFailed, since: at(10), cause: "404"}, at(30), true, LiveFailed, "404", at(10)},
		"a suspension, likewise": {live{state: LiveSuspended, since: at(10)}, at(30), true, LiveSuspended, "", at(10)},
	} {
		got := c.live.shown("memory", c.blocked, c.paused, at(20))
		if got.State != c.state || got.Cause != c.cause || !got.Since.Equal(c.since) {
			t.Errorf("%s: got %s %q since %v, want %s %q since %v", name, got.State, got.Cause, got.Since.Unix(), c.state, c.cause, c.since.Unix())
		}
	}
}
