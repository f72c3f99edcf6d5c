package wire_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// FuzzReadFrame: what is read as frames is what was there, byte by byte, up to
// the first error.
func FuzzReadFrame(f *testing.F) {
	f.Add(wire.AppendHeartbeat(nil), uint32(0))
	f.Add(wire.AppendMethodFrame(nil, 1, &wire.QueueDeclare{Queue: "q"}), uint32(4096))
	f.Add(wire.AppendContent(nil, 65535, wire.ClassBasic, []byte{0, 0}, []byte("body"), 0), uint32(131072))
	f.Add([]byte("\x03\x00\x01\xff\xff\xff\xff"), uint32(1<<32-1))
	f.Fuzz(func(t *testing.T, in []byte, frameMax uint32) {
		r := wire.NewReader(bytes.NewReader(in))
		r.SetFrameMax(frameMax)
		var out []byte
		for {
			f, err := r.ReadFrame()
			if err != nil {
				if _, ok := errors.AsType[*wire.FrameError](err); !ok && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Fatal(err)
				}
				if errors.Is(err, io.EOF) && len(out) != len(in) {
					t.Fatalf("the end after %d of %d bytes", len(out), len(in))
				}
				break
			}
			if len(f.Payload) > int(max(frameMax, wire.MinFrameSize)) {
				t.Fatalf("a payload of %d bytes, frame-max is %d", len(f.Payload), frameMax)
			}
			out = wire.AppendFrame(out, f.Type, f.Channel, f.Payload)
		}
		if !bytes.HasPrefix(in, out) {
			t.Fatalf("%x was read as %x", in, out)
		}
	})
}

// FuzzParseMethod: what is parsed can be written, and is the same when it is read
// again; a Parser, whatever it read before, agrees.
func FuzzParseMethod(f *testing.F) {
	for _, m := range allMethods() {
		f.Add(wire.AppendMethod(nil, m))
	}
	f.Add(wire.AppendMethod(nil, &wire.QueueDeclare{Queue: "q", Durable: true, Arguments: everyType()}))
	f.Add(wire.AppendMethod(nil, &wire.BasicPublish{Exchange: "e", RoutingKey: "k", Immediate: true}))
	var p wire.Parser
	f.Fuzz(func(t *testing.T, payload []byte) {
		m, err := wire.ParseMethod(payload)
		frequent, err2 := p.Parse(payload)
		if (err == nil) != (err2 == nil) || !cmp.Equal(m, frequent, sameValues) {
			t.Fatalf("%#v, %v and by the Parser %#v, %v", m, err, frequent, err2)
		}
		if err != nil {
			if _, ok := errors.AsType[coder](err); !ok {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		again := wire.AppendMethod(nil, m)
		back, err := wire.ParseMethod(again)
		if err != nil || !cmp.Equal(m, back, sameValues) {
			t.Fatalf("%#v came back as %#v, %v", m, back, err)
		}
		if twice := wire.AppendMethod(nil, back); !bytes.Equal(again, twice) {
			t.Fatalf("%x, then %x", again, twice)
		}
	})
}

// FuzzParseTable: what is parsed can be written, and is the same when it is read
// again; FindField finds each field, and Equal knows each value.
func FuzzParseTable(f *testing.F) {
	fields, err := wire.AppendTable(nil, everyType())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(fields)
	f.Add(nested(wire.MaxTableDepth))
	f.Add(nested(wire.MaxTableDepth + 1))
	f.Add(voids(100))
	f.Fuzz(func(t *testing.T, fields []byte) {
		table, err := wire.ParseTable(fields)
		if err != nil {
			if !asSyntax(err) {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		again, err := wire.AppendTable(nil, table)
		if err != nil {
			t.Fatal(err)
		}
		back, err := wire.ParseTable(again)
		if err != nil || !cmp.Equal(table, back, sameValues) {
			t.Fatalf("%v came back as %v, %v", table, back, err)
		}
		for name, v := range table {
			found, ok := wire.FindField(fields, name)
			if !ok || !cmp.Equal(v, found, sameValues) {
				t.Fatalf("FindField(%q): %v, %v, want %v", name, found, ok, v)
			}
			difference := wire.Inequivalence(name, table, back)
			if wire.Equal(v, back[name]) != (difference == "") {
				t.Fatalf("%q: %v, %v: %q", name, v, back[name], difference)
			}
		}
	})
}

// FuzzParseContentHeader: what the view accepts can be parsed, says the same, and
// can be written again.
func FuzzParseContentHeader(f *testing.F) {
	for _, raw := range [][]byte{{0, 0}, simpleProperties(f), celeryProperties(f)} {
		f.Add(append([]byte{0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100}, raw...))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		h, err := wire.ParseContentHeader(payload)
		if err != nil {
			if !asSyntax(err) {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		frame := wire.AppendContentHeader(nil, 1, h.Class, h.Raw, h.BodySize)
		if !bytes.Contains(frame, payload) {
			t.Fatalf("%x was written as %x", payload, frame)
		}
		_, viewErr := wire.ViewProperties(h.Raw)
		p, err := wire.ParseProperties(h.Raw)
		if (err == nil) != (viewErr == nil) || err != nil && !asSyntax(err) {
			t.Fatalf("parsed: %v, viewed: %v", err, viewErr)
		}
		if err != nil {
			return
		}
		sameView(t, p, h.Raw)
		raw, err := p.AppendRaw(nil)
		if err != nil {
			t.Fatal(err)
		}
		back, err := wire.ParseProperties(raw)
		if err != nil || !cmp.Equal(p, back, sameValues) {
			t.Fatalf("%+v came back as %+v, %v", p, back, err)
		}
	})
}
