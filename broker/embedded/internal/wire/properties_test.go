package wire_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

func TestPropertiesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := allProperties().Draw(t, "properties")
		raw, err := want.AppendRaw(nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := wire.ParseProperties(raw)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, sameValues); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		again, err := got.AppendRaw(nil)
		if err != nil || !bytes.Equal(again, raw) {
			t.Fatalf("written again: %x, %v, want %x", again, err, raw)
		}
		sameView(t, got, raw)
		cutAt := rapid.IntRange(0, len(raw)-1).Draw(t, "cut")
		if p, err := wire.ParseProperties(raw[:cutAt]); !asSyntax(err) {
			t.Fatalf("%d of %d bytes: %v, %v", cutAt, len(raw), p, err)
		}
		if _, err := wire.ParseProperties(append(raw, 0)); !asSyntax(err) {
			t.Fatalf("a byte too many: %v", err)
		}
	})
}

// sameView compares what ViewProperties says with what ParseProperties says.
func sameView(t interface{ Fatalf(string, ...any) }, p *wire.Properties, raw []byte) {
	v, err := wire.ViewProperties(raw)
	if err != nil {
		t.Fatalf("view: %v", err)
	}
	if v.Present != p.Present || v.DeliveryMode != p.DeliveryMode || v.Priority != p.Priority ||
		string(v.ReplyTo) != p.ReplyTo || string(v.Expiration) != p.Expiration || string(v.UserID) != p.UserID {
		t.Fatalf("view %+v of %+v", v, p)
	}
	headers, err := wire.ParseTable(v.Headers)
	if err != nil || !cmp.Equal(headers, p.Headers, sameValues) {
		t.Fatalf("headers %v, %v, want %v", headers, err, p.Headers)
	}
}

func TestAppendRawPresence(t *testing.T) {
	tests := []struct {
		name string
		p    wire.Properties
		want string
	}{
		{"none", wire.Properties{}, "\x00\x00"},
		{"by value", wire.Properties{Priority: 3}, "\x08\x00\x03"},
		{"by bit", wire.Properties{Present: wire.PropPriority}, "\x08\x00\x00"},
		{"both", wire.Properties{Present: wire.PropPriority, Priority: 3}, "\x08\x00\x03"},
		{"empty headers", wire.Properties{Headers: wire.Table{}}, "\x20\x00\x00\x00\x00\x00"},
		{"no headers, by bit", wire.Properties{Present: wire.PropHeaders}, "\x20\x00\x00\x00\x00\x00"},
		{"1970", wire.Properties{Timestamp: time.Unix(0, 0)}, "\x00\x40\x00\x00\x00\x00\x00\x00\x00\x00"},
		{"the last one", wire.Properties{ClusterID: "c"}, "\x00\x04\x01c"},
		{"bits that mean nothing", wire.Properties{Present: 3}, "\x00\x00"},
	}
	for _, tt := range tests {
		got, err := tt.p.AppendRaw(nil)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestAppendRawErrors(t *testing.T) {
	for _, p := range []wire.Properties{
		{Expiration: strings.Repeat("1", 256)},
		{Headers: wire.Table{"n": 1}},
	} {
		if raw, err := p.AppendRaw([]byte("x")); err == nil || raw != nil {
			t.Errorf("%+v: %q, %v", p, raw, err)
		}
	}
}

// TestUnknownFlags: RabbitMQ ignores the two lowest flags, one of which would
// continue the flags.
func TestUnknownFlags(t *testing.T) {
	p, err := wire.ParseProperties([]byte("\x08\x03\x05"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&wire.Properties{Present: wire.PropPriority, Priority: 5}, p); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestViewChecksHeaders(t *testing.T) {
	bad := []byte("\x20\x00\x00\x00\x00\x03\x01kz")
	if _, err := wire.ViewProperties(bad); !asSyntax(err) {
		t.Errorf("got %v", err)
	}
	deep := append([]byte("\x20\x00\x00\x00\xff\xff"), nested(9363)...) // 7 bytes each
	if _, err := wire.ViewProperties(deep[:6+0xffff]); !asSyntax(err) {
		t.Errorf("got %v", err)
	}
}

func TestViewDoesNotAllocate(t *testing.T) {
	raw := celeryProperties(t)
	if got := testing.AllocsPerRun(100, func() {
		v, err := wire.ViewProperties(raw)
		if err != nil || v.DeliveryMode != wire.Persistent {
			t.Fatal(v, err)
		}
		if _, ok := wire.FindField(v.Headers, "CC"); ok {
			t.Fatal("found what is not there")
		}
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// celeryProperties are what kombu sends with a task of celery.
func celeryProperties(t testing.TB) []byte {
	t.Helper()
	raw, err := (&wire.Properties{
		ContentType: "application/json", ContentEncoding: "utf-8",
		DeliveryMode:  wire.Persistent,
		Priority:      0,
		CorrelationID: "5f1e5b9a-9b52-4c0c-8a55-9c6f1dc4b1ad",
		ReplyTo:       "1e3d3f3a-25de-3a1b-9be4-6a5d6a5b7c11",
		Headers: wire.Table{
			"lang": "py", "task": "tasks.add", "id": "5f1e5b9a-9b52-4c0c-8a55-9c6f1dc4b1ad",
			"retries": int32(0), "timelimit": []any{nil, nil}, "eta": nil,
			"origin": "gen1234@host", "argsrepr": "(2, 2)", "kwargsrepr": "{}", "ignore_result": false,
		},
	}).AppendRaw(nil)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
