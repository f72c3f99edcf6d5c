package dlq_test

import (
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/dlq"
)

// TestNormalize runs testdata/normalize: an error a line.
func TestNormalize(t *testing.T) {
	datadriven.RunTest(t, "testdata/normalize", func(_ *testing.T, d *datadriven.TestData) string {
		var out strings.Builder
		for line := range strings.Lines(d.Input) {
			out.WriteString(dlq.Normalize(line) + "\n")
		}
		return out.String()
	})
}

// TestNormalizeProperties: no digit is left, twice is once, and neither numbers nor
// white space make a difference.
func TestNormalizeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.StringMatching(`([a-z0-9x:/._ -]|[0-9a-f]{8}-[0-9a-f]{4}){0,60}`)).Draw(t, "s")
		once := dlq.Normalize(s)
		if strings.ContainsAny(once, "0123456789") {
			t.Fatalf("%q: %q has digits", s, once)
		}
		if twice := dlq.Normalize(once); twice != once {
			t.Fatalf("%q: twice %q, once %q", s, twice, once)
		}
		a, b := rapid.StringMatching(`[1-9][0-9]{0,6}`), rapid.StringMatching(`[a-z ]{1,20}`)
		word := b.Draw(t, "word")
		one, two := dlq.Normalize(word+" "+a.Draw(t, "n")), dlq.Normalize(word+"\n\t "+a.Draw(t, "m"))
		if one != two {
			t.Fatalf("got %q and %q", one, two)
		}
	})
}

// headers are tables of any form, with the names that mean something among them.
func headers() *rapid.Generator[map[string]any] {
	names := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
		"x-attempt", "x-reason", "x-error", "x-first-seen", "x-node", "x-queue", "x-magne-lost", "x-autopsy", "x-replays", "x-replayed-at",
		"x-first-reason", "x-death", "X-Death", "x-delivery-count", "x-first-death-queue", "CC", "bcc", "x-stripped", "mine",
	}))
	leaf := rapid.OneOf(
		rapid.String().AsAny(), rapid.Bool().AsAny(), rapid.Int8().AsAny(), rapid.Uint8().AsAny(), rapid.Int16().AsAny(), rapid.Uint16().AsAny(),
		rapid.Int32().AsAny(), rapid.Uint32().AsAny(), rapid.Int64().AsAny(), rapid.Float32().AsAny(), rapid.Float64().AsAny(),
		rapid.SliceOf(rapid.Byte()).AsAny(), rapid.Just(any(nil)),
		rapid.Custom(func(t *rapid.T) any { return time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "s"), 0).UTC() }),
	)
	value := rapid.Deferred(func() *rapid.Generator[any] { return leaf })
	for range 3 {
		inner := value
		value = rapid.OneOf(leaf, rapid.MapOfN(names, inner, 0, 4).AsAny(), rapid.SliceOfN(inner, 0, 4).AsAny())
	}
	return rapid.MapOfN(names, value, 0, 8)
}

func deliveries() *rapid.Generator[*broker.Delivery] {
	return rapid.Custom(func(t *rapid.T) *broker.Delivery {
		d := &broker.Delivery{Queue: "dead", Exchange: rapid.String().Draw(t, "exchange"), RoutingKey: rapid.String().Draw(t, "key"), Body: rapid.SliceOf(rapid.Byte()).Draw(t, "body")}
		d.Headers = headers().Draw(t, "headers")
		for _, field := range []*string{&d.MessageID, &d.Type, &d.User, &d.Expiration, &d.ContentType, &d.ReplyTo, &d.CorrelationID, &d.AppID, &d.ContentEncoding} {
			*field = rapid.OneOf(rapid.Just(""), rapid.String(), rapid.Just("\xff")).Draw(t, "property")
		}
		d.Priority, d.Persistent = rapid.Uint8().Draw(t, "priority"), rapid.Bool().Draw(t, "persistent")
		return d
	})
}

// kept are the headers that a publisher has set.
func kept(h map[string]any) map[string]any {
	h = maps.Clone(h)
	maps.DeleteFunc(h, func(name string, _ any) bool {
		switch strings.ToLower(name) {
		case "x-attempt", "x-reason", "x-error", "x-first-seen", "x-node", "x-queue", "x-magne-lost", "x-autopsy", "x-replays", "x-replayed-at",
			"x-first-reason", "x-death", "x-delivery-count", "x-first-death-queue", "cc", "bcc":
			return true
		}
		return false
	})
	return h
}

// TestReplayProperties: whatever a letter is, its copy is whole, starts anew, says
// what it has been through, and is refused after enough of that.
func TestReplayProperties(t *testing.T) {
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		d := deliveries().Draw(t, "letter")
		before := maps.Clone(d.Headers)
		first := dlq.Read(d)
		p, err := dlq.Replay(d, "work", 0, now)
		if err != nil {
			t.Fatalf("without a guard: %v", err)
		}
		if diff := cmp.Diff(before, d.Headers); diff != "" {
			t.Fatalf("the letter was changed:\n%s", diff)
		}
		if diff := cmp.Diff(kept(d.Headers), kept(p.Headers)); diff != "" {
			t.Fatalf("headers of the publisher (-letter +copy):\n%s", diff)
		}
		for _, name := range []string{"x-attempt", "x-reason", "x-error", "x-node", "x-queue", "x-magne-lost", "x-autopsy", "x-death", "X-Death", "x-delivery-count", "x-first-death-queue", "CC", "bcc"} {
			if v, has := p.Headers[name]; has {
				t.Fatalf("the copy has %s: %v", name, v)
			}
		}
		if string(p.Body) != string(d.Body) || p.RoutingKey != "work" || p.Exchange != "" || !p.Persistent || p.User != "" || p.Expiration != "" || p.MessageID != d.MessageID {
			t.Fatalf("got %+v", p)
		}
		again := &broker.Delivery{Properties: p.Properties, Body: p.Body}
		again.Headers = maps.Clone(p.Headers)
		again.Headers["x-reason"] = "timeout"
		l := dlq.Read(again)
		wantFirst := first.FirstReason
		if wantFirst == "" {
			wantFirst = first.Reason
		}
		if l.Replays != first.Replays+1 || !l.ReplayedAt.Equal(now) || l.FirstReason != wantFirst || l.Attempts != 0 {
			t.Fatalf("provenance: got %+v, before %+v", l, first)
		}
		if _, err := dlq.Replay(again, "work", l.Replays, now); !errors.Is(err, dlq.ErrLoop) {
			t.Fatalf("after %d replays: got %v", l.Replays, err)
		}
		if _, err := dlq.Replay(again, "work", l.Replays+1, now); err != nil {
			t.Fatalf("one more is allowed: %v", err)
		}
	})
}

// TestCopyProperties: a copy in a queue of dead letters says the same of itself.
func TestCopyProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := deliveries().Draw(t, "letter")
		d.MessageID = "id" // one that is made from the content is made from the routing key as well
		p, err := dlq.Copy(d, "dead")
		if err != nil {
			t.Fatal(err)
		}
		want, got := dlq.Read(d), dlq.Read(&broker.Delivery{Properties: p.Properties, Body: p.Body})
		want.Deaths = nil // the account of a broker is the broker's
		for _, h := range []string{"x-reason", "x-queue", "x-first-seen"} {
			if _, odd := d.Headers[h]; odd {
				return // a header of that name is not replaced, whatever it is
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-letter +copy):\n%s", diff)
		}
	})
}

// TestRead: what a worker writes, what RabbitMQ writes, and what others do.
func TestRead(t *testing.T) {
	datadriven.RunTest(t, "testdata/read", func(t *testing.T, d *datadriven.TestData) string {
		var in struct {
			ID, Type, Body string
			Headers        map[string]any
		}
		if err := json.Unmarshal([]byte(d.Input), &in); err != nil {
			t.Fatal(err)
		}
		for name, v := range in.Headers {
			if n, ok := v.(float64); ok {
				in.Headers[name] = int64(n)
			}
		}
		m := &broker.Delivery{Body: []byte(in.Body), RoutingKey: "k"}
		m.MessageID, m.Type, m.Headers = in.ID, in.Type, in.Headers
		text, err := json.MarshalIndent(dlq.Read(m), "", " ")
		if err != nil {
			t.Fatal(err)
		}
		return string(text) + "\n"
	})
}

func TestUnreadable(t *testing.T) {
	d := &broker.Delivery{}
	d.Headers = map[string]any{broker.HeaderDropped: "too deep"}
	if _, err := dlq.Replay(d, "q", 0, time.Now()); !errors.Is(err, dlq.ErrUnreadable) {
		t.Errorf("replay: got %v", err)
	}
	if _, err := dlq.Copy(d, "q"); !errors.Is(err, dlq.ErrUnreadable) {
		t.Errorf("copy: got %v", err)
	}
}

func TestGroups(t *testing.T) {
	var g dlq.Groups
	if got := g.List(); len(got) != 0 {
		t.Errorf("empty: got %v", got)
	}
	letter := func(id, reason, message, seen string) dlq.Letter {
		d := &broker.Delivery{}
		d.MessageID, d.Type = id, "t"
		d.Headers = map[string]any{"x-reason": reason, "x-error": message, "x-first-seen": seen}
		return dlq.Read(d)
	}
	for _, l := range []dlq.Letter{
		letter("a", "timeout", "after 5s", "2026-11-02T00:00:00Z"),
		letter("b", "panic", "x", ""),
		letter("c", "timeout", "after 7s", "2026-11-01T00:00:00Z"),
		letter("d", "timeout", "after 9s", "2026-11-03T00:00:00Z"),
		letter("e", "panic", "y", "no time"),
	} {
		g.Add(&l)
	}
	got := g.List()
	if len(got) != 3 || got[0].Count != 3 || got[0].Example != "a" || got[0].Error != "after <n>s" ||
		got[0].FirstSeen.Day() != 1 || got[0].LastSeen.Day() != 3 || got[1].FirstSeen != nil || got[1].ID >= got[2].ID {
		t.Errorf("got %+v", got)
	}
}

func TestFilter(t *testing.T) {
	seen := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	l := dlq.Letter{ID: "a", Group: "g", Reason: "timeout", Task: "t", FirstSeen: &seen}
	for _, c := range []struct {
		f    dlq.Filter
		want bool
	}{
		{dlq.Filter{}, true},
		{dlq.Filter{All: true}, true},
		{dlq.Filter{IDs: []string{"b", "a"}}, true},
		{dlq.Filter{IDs: []string{"b"}}, false},
		{dlq.Filter{Groups: []string{"g"}, Reasons: []string{"timeout"}, Tasks: []string{"t"}, Before: seen.Add(1)}, true},
		{dlq.Filter{Groups: []string{"h"}}, false},
		{dlq.Filter{Reasons: []string{"panic"}}, false},
		{dlq.Filter{Tasks: []string{"u"}}, false},
		{dlq.Filter{Before: seen}, false},
	} {
		if got := c.f.Match(&l); got != c.want {
			t.Errorf("%+v: got %v", c.f, got)
		}
	}
	if (&dlq.Filter{Before: seen}).Match(&dlq.Letter{}) {
		t.Error("a letter that does not say when is before something")
	}
	if err := (&dlq.Filter{}).Check(); !errors.Is(err, dlq.ErrNoFilter) {
		t.Errorf("nothing said: got %v", err)
	}
	if err := (&dlq.Filter{All: true, IDs: []string{"a"}}).Check(); !errors.Is(err, dlq.ErrAllAndMore) {
		t.Errorf("both: got %v", err)
	}
	if err := errors.Join((&dlq.Filter{All: true}).Check(), (&dlq.Filter{Tasks: []string{"t"}}).Check()); err != nil {
		t.Error(err)
	}
}

func TestParseBefore(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2026-11-01T01:02:03+01:00": time.Date(2026, 11, 1, 0, 2, 3, 0, time.UTC),
		"2026-11-01":                time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
		"36h":                       time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC),
	} {
		if got, err := dlq.ParseBefore(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "noon", "-1h", "2026-13-01"} {
		if got, err := dlq.ParseBefore(text, now); err == nil {
			t.Errorf("%q: got %v", text, got)
		}
	}
}

func TestDestination(t *testing.T) {
	l := dlq.Letter{Queue: "said"}
	if got := dlq.Destination(&l, "work"); got != "work" {
		t.Errorf("got %q", got)
	}
	if got := dlq.Destination(&l, ""); got != "said" {
		t.Errorf("got %q", got)
	}
}

// TestUndelivered: what has left the ladder of delays and found no queue says which one
// it was for.
func TestUndelivered(t *testing.T) {
	d := &broker.Delivery{RoutingKey: "0.0.0.0.1.a.4.mail.eu"}
	d.Headers = map[string]any{"x-death": []any{map[string]any{"queue": "magne.v1.delay.0.4", "reason": "expired", "count": int64(1)}}}
	if l := dlq.Read(d); l.Reason != "undelivered" || l.Queue != "mail.eu" {
		t.Errorf("got reason %q, queue %q", l.Reason, l.Queue)
	}
	// The same message, when a worker's queue has rejected it.
	d.Headers["x-death"] = append([]any{map[string]any{"queue": "mail.eu", "reason": "rejected", "count": int64(1)}}, d.Headers["x-death"].([]any)...)
	if l := dlq.Read(d); l.Reason != "rejected" || l.Queue != "mail.eu" {
		t.Errorf("rejected: got reason %q, queue %q", l.Reason, l.Queue)
	}
	if _, err := dlq.Again(&broker.Delivery{Properties: broker.Properties{Headers: map[string]any{broker.HeaderDropped: "deep"}}}, "q"); !errors.Is(err, dlq.ErrUnreadable) {
		t.Errorf("headers that were dropped: got %v", err)
	}
}
