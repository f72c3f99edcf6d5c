package wire_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

var sameValues = cmp.Options{cmpopts.EquateNaNs(), cmpopts.EquateEmpty()}

func TestMethodsRoundTrip(t *testing.T) {
	all := allMethods()
	if len(all) != 64 {
		t.Errorf("%d methods, want 64", len(all))
	}
	for _, m := range all {
		t.Run(m.Name(), rapid.MakeCheck(func(t *rapid.T) {
			fill(t, m)
			payload := wire.AppendMethod(nil, m)
			got, err := wire.ParseMethod(payload)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(m, got, sameValues); diff != "" {
				t.Fatalf("read back (-want +got):\n%s", diff)
			}
			again := wire.AppendMethod(nil, got)
			if !bytes.Equal(again, payload) {
				t.Fatalf("written again: %x, want %x", again, payload)
			}
			// Every truncation is an error, and so is a byte too many.
			cutAt := rapid.IntRange(0, len(payload)-1).Draw(t, "cut")
			if m, err := wire.ParseMethod(payload[:cutAt]); err == nil {
				t.Fatalf("%d of %d bytes: %#v", cutAt, len(payload), m)
			}
			if _, err := wire.ParseMethod(append(payload, 0)); err == nil {
				t.Fatal("a byte too many was accepted")
			}
		}))
	}
}

func TestMethodErrors(t *testing.T) {
	tests := []struct {
		name    string
		payload string
		code    uint16
		text    string
	}{
		{"empty", "", 502, "wire: syntax error: a method frame of 0 bytes"},
		{"half a number", "\x00\x0a\x00", 502, "wire: syntax error: a method frame of 3 bytes"},
		{"no such method", "\x00\x0a\x00\x63", 540, "wire: there is no method 99 of class 10"},
		{"no such class", "\x00\x1e\x00\x0a", 540, "wire: there is no method 10 of class 30"},
		{"too short", "\x00\x3c\x00\x50\x00\x00", 502, "wire: syntax error: basic.ack: ends too early"},
		{"too long", "\x00\x0a\x00\x33\x00", 502, "wire: syntax error: connection.close-ok: 1 bytes too many"},
		{"no UTF-8", "\x00\x32\x00\x1e\x00\x00\x01\xff\x00", 501, "wire: frame error: Malformed UTF-8 in shortstr"},
		{"bad table", "\x00\x32\x00\x0a\x00\x00\x00\x00\x00\x00\x00\x03\x01az", 502, "wire: syntax error: queue.declare: a table has a value of an unknown type"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for by, parse := range map[string]func([]byte) (wire.Method, error){
				"ParseMethod": wire.ParseMethod, "Parser": new(wire.Parser).Parse,
			} {
				m, err := parse([]byte(tt.payload))
				if err == nil || err.Error() != tt.text || m != nil {
					t.Fatalf("%s: got %v, %v, want error %q", by, m, err, tt.text)
				}
				if coded, ok := errors.AsType[coder](err); !ok || coded.Code() != tt.code {
					t.Errorf("%s: %T, want one of code %d", by, err, tt.code)
				}
			}
		})
	}
}

// TestContentMethodsTakeAnyBytes: names of messages need not be UTF-8.
func TestContentMethodsTakeAnyBytes(t *testing.T) {
	want := &wire.BasicPublish{Exchange: "\xff", RoutingKey: "\xc3\x28"}
	got, err := wire.ParseMethod(wire.AppendMethod(nil, want))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestParserAgrees: a Parser returns what ParseMethod does, whatever came before.
func TestParserAgrees(t *testing.T) {
	all := allMethods()
	rapid.Check(t, func(t *rapid.T) {
		var p wire.Parser
		for range 20 {
			m := rapid.SampledFrom(all).Draw(t, "method")
			fill(t, m)
			payload := wire.AppendMethod(nil, m)
			if rapid.Bool().Draw(t, "truncated") {
				payload = payload[:rapid.IntRange(0, len(payload)).Draw(t, "cut")]
			}
			want, wantErr := wire.ParseMethod(payload)
			got, err := p.Parse(payload)
			if diff := cmp.Diff(want, got, sameValues); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
			if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
				t.Fatalf("error %v, want %v", err, wantErr)
			}
		}
	})
}

func TestParserDoesNotAllocate(t *testing.T) {
	var p wire.Parser
	for _, m := range []wire.Method{
		&wire.BasicPublish{Exchange: "amq.topic", RoutingKey: "a.b.c", Mandatory: true},
		&wire.BasicAck{DeliveryTag: 7, Multiple: true},
		&wire.BasicNack{DeliveryTag: 7, Requeue: true},
		&wire.BasicReject{DeliveryTag: 7, Requeue: true},
	} {
		payload := wire.AppendMethod(nil, m)
		got := testing.AllocsPerRun(100, func() {
			if _, err := p.Parse(payload); err != nil {
				t.Fatal(err)
			}
		})
		if got != 0 {
			t.Errorf("%s: %v allocations", m.Name(), got)
		}
	}
}

// TestStringsSurvive: the strings of a frequent method stay as they are when the
// input and the Parser are used again.
func TestStringsSurvive(t *testing.T) {
	var p wire.Parser
	payload := wire.AppendMethod(nil, &wire.BasicPublish{RoutingKey: "first"})
	m, err := p.Parse(payload)
	if err != nil {
		t.Fatal(err)
	}
	key := m.(*wire.BasicPublish).RoutingKey
	copy(payload[len(payload)-6:], "other")
	if m, err = p.Parse(payload); err != nil {
		t.Fatal(err)
	}
	if now := m.(*wire.BasicPublish).RoutingKey; key != "first" || now != "other" {
		t.Errorf("keys %q and %q", key, now)
	}
}

func TestLongNamesAreCut(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{strings.Repeat("x", 255), strings.Repeat("x", 255)},
		{strings.Repeat("x", 256), strings.Repeat("x", 255)},
		{strings.Repeat("x", 254) + "é", strings.Repeat("x", 254)},
		{strings.Repeat("x", 253) + "é!", strings.Repeat("x", 253) + "é"},
		{strings.Repeat("\x80", 300), strings.Repeat("\x80", 251)}, // no text at all
	} {
		r := wire.NewReader(bytes.NewReader(wire.AppendReturn(nil, 1, 312, "", "", tt.in)))
		f, err := r.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		m, err := wire.ParseMethod(f.Payload)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.(*wire.BasicReturn).RoutingKey; got != tt.want {
			t.Errorf("%q became %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestReplyText(t *testing.T) {
	for _, tt := range []struct {
		code              uint16
		explanation, want string
	}{
		{404, "no queue 'q' in vhost '/'", "NOT_FOUND - no queue 'q' in vhost '/'"},
		{200, "Goodbye", "Goodbye"},
		{541, strings.Repeat("x", 300), "INTERNAL_ERROR - " + strings.Repeat("x", 235) + "..."},
		{541, strings.Repeat("x", 238), "INTERNAL_ERROR - " + strings.Repeat("x", 238)},
	} {
		if got := wire.ReplyText(tt.code, tt.explanation); got != tt.want {
			t.Errorf("ReplyText(%d): %q, want %q", tt.code, got, tt.want)
		}
	}
}

func TestHardError(t *testing.T) {
	for code := range uint16(600) {
		soft := code >= 311 && code <= 313 || code >= 403 && code <= 406
		if wire.HardError(code) == soft {
			t.Errorf("HardError(%d) = %v", code, !soft)
		}
	}
}

func TestAppendMethodPanics(t *testing.T) {
	defer func() {
		if r := recover(); r != `a table that cannot be sent: wire: field "x": a table cannot hold a int` {
			t.Errorf("panic %v", r)
		}
	}()
	wire.AppendMethod(nil, &wire.QueueDeclare{Arguments: wire.Table{"x": 1}})
	t.Error("no panic")
}

// coder is what all errors of parsers are.
type coder interface {
	error
	Code() uint16
}

// asSyntax reports whether err is a *SyntaxError.
func asSyntax(err error) bool {
	_, ok := errors.AsType[*wire.SyntaxError](err)
	return ok
}
