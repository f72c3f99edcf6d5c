package deadletter_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/deadletter"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

var at = time.Unix(1700000000, 0).UTC()

func raw(t *testing.T, p *wire.Properties) []byte {
	t.Helper()
	b, err := p.AppendRaw(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func event(count int64, reason, queue string) wire.Table {
	return wire.Table{
		"count": count, "reason": reason, "queue": queue, "time": at,
		"exchange": "x", "routing-keys": []any{"k"},
	}
}

func letter(t *testing.T, d deadletter.Death, to deadletter.Target) (*deadletter.Letter, *wire.Properties) {
	t.Helper()
	before := string(d.Props)
	l, err := deadletter.New(d, to)
	if err != nil {
		t.Fatal(err)
	}
	if string(d.Props) != before {
		t.Error("the properties of the message have changed")
	}
	p, err := wire.ParseProperties(l.Props)
	if err != nil {
		t.Fatal(err)
	}
	return l, p
}

func TestFirstDeath(t *testing.T) {
	key := "dead.key"
	props := &wire.Properties{
		ContentType: "text/plain", DeliveryMode: 2, Expiration: "5000",
		Headers: wire.Table{"CC": []any{"c1", int32(1), "c2"}, "mine": "yes"},
	}
	d := deadletter.Death{
		Reason: deadletter.Expired, Queue: "q", Time: at.Add(time.Second / 2),
		Exchange: "x", Key: "k", More: []string{"c1", "c2", "b"}, Props: raw(t, props),
	}
	want := wire.Table{
		"mine":                   "yes",
		"CC":                     []any{"c1", int32(1), "c2"},
		"x-first-death-reason":   "expired",
		"x-first-death-queue":    "q",
		"x-first-death-exchange": "x",
		"x-death": []any{wire.Table{
			"count": int64(1), "reason": "expired", "queue": "q", "time": at, "exchange": "x",
			"routing-keys": []any{"k", "c1", "c2"}, "original-expiration": "5000",
		}},
	}
	l, p := letter(t, d, deadletter.Target{Exchange: "dlx"})
	if diff := cmp.Diff(want, p.Headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if l.Exchange != "dlx" || l.Key != "k" || len(l.More) != 3 {
		t.Errorf("goes to %q, %q, %q", l.Exchange, l.Key, l.More)
	}
	if p.Expiration != "" || p.Present&wire.PropExpiration != 0 || p.ContentType != "text/plain" || p.DeliveryMode != 2 {
		t.Errorf("properties %+v", p)
	}
	l, p = letter(t, d, deadletter.Target{Exchange: "dlx", Key: &key})
	delete(want, "CC")
	if diff := cmp.Diff(want, p.Headers); diff != "" {
		t.Errorf("with a key: headers (-want +got):\n%s", diff)
	}
	if l.Key != key || l.More != nil {
		t.Errorf("with a key: goes to %q, %q", l.Key, l.More)
	}
}

func TestLaterDeaths(t *testing.T) {
	uncounted := event(0, "expired", "u")
	delete(uncounted, "count")
	short := event(0, "rejected", "q")
	short["count"] = int16(3)
	for _, tt := range []struct {
		name string
		had  any
		want []any
	}{
		{"another queue", []any{event(2, "rejected", "p")}, []any{event(1, "rejected", "q"), event(2, "rejected", "p")}},
		{"another reason", []any{event(2, "expired", "q")}, []any{event(1, "rejected", "q"), event(2, "expired", "q")}},
		{"again", []any{event(2, "rejected", "q")}, []any{event(3, "rejected", "q")}},
		{"again, as another type", []any{short}, []any{event(4, "rejected", "q")}},
		{
			"moves to the front; the others turn round",
			[]any{event(1, "expired", "a"), event(1, "rejected", "q"), event(1, "expired", "b")},
			[]any{event(2, "rejected", "q"), event(1, "expired", "b"), event(1, "expired", "a")},
		},
		{
			"many of one",
			[]any{event(7, "expired", "a"), event(1, "expired", "a"), uncounted, uncounted},
			[]any{event(1, "rejected", "q"), event(2, "expired", "u"), event(7, "expired", "a")},
		},
		{"no table", []any{"nonsense"}, []any{event(1, "rejected", "q")}},
		{"empty", []any{}, []any{event(1, "rejected", "q")}},
		{"no array", "nonsense", []any{event(1, "rejected", "q")}},
	} {
		_, p := letter(t, deadletter.Death{
			Reason: deadletter.Rejected, Queue: "q", Time: at, Exchange: "x", Key: "k",
			Props: raw(t, &wire.Properties{Headers: wire.Table{"x-death": tt.had}}),
		}, deadletter.Target{Exchange: "dlx"})
		if diff := cmp.Diff(wire.Table{"x-death": tt.want}, p.Headers); diff != "" {
			t.Errorf("%s: headers (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestCycle(t *testing.T) {
	for _, tt := range []struct {
		name   string
		reason deadletter.Reason
		had    any
		target string
		want   bool
	}{
		{"never there", deadletter.Expired, nil, "other", false},
		{"from itself to itself", deadletter.Expired, nil, "q", true},
		{"rejected", deadletter.Rejected, nil, "q", false},
		{"delivery limit", deadletter.DeliveryLimit, nil, "q", true},
		{"expired there", deadletter.MaxLen, []any{event(1, "expired", "p")}, "p", true},
		{"rejected there", deadletter.Expired, []any{event(1, "rejected", "p")}, "p", false},
		{"rejected since", deadletter.Expired, []any{event(1, "rejected", "r"), event(1, "expired", "p")}, "p", true},
		{"rejected before", deadletter.Expired, []any{event(1, "expired", "p"), event(1, "rejected", "r")}, "p", false},
		{"nonsense", deadletter.Expired, "nonsense", "q", true},
	} {
		headers := wire.Table{}
		if tt.had != nil {
			headers["x-death"] = tt.had
		}
		l, _ := letter(t, deadletter.Death{
			Reason: tt.reason, Queue: "q", Time: at, Props: raw(t, &wire.Properties{Headers: headers}),
		}, deadletter.Target{Exchange: "dlx"})
		if got := l.Cycle(tt.target); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestNoLetter(t *testing.T) {
	full := make([]any, wire.MaxTableFields-1)
	for name, props := range map[string][]byte{
		"no properties": {1},
		"no room":       raw(t, &wire.Properties{Headers: wire.Table{"a": full}}),
	} {
		if l, err := deadletter.New(deadletter.Death{Queue: "q", Props: props}, deadletter.Target{}); err == nil {
			t.Errorf("%s: got %v", name, l)
		}
	}
}
