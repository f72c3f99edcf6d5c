package wire_test

import (
	"testing"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

const benchFrameMax = 131072

func simpleProperties(b testing.TB) []byte {
	b.Helper()
	raw, err := (&wire.Properties{ContentType: "application/json", DeliveryMode: wire.Persistent}).AppendRaw(nil)
	if err != nil {
		b.Fatal(err)
	}
	return raw
}

// BenchmarkReadPublish: three frames from a stream, parsed and checked as the
// broker does, 100 bytes of body.
func BenchmarkReadPublish(b *testing.B) {
	for name, raw := range map[string][]byte{"simple": simpleProperties(b), "celery": celeryProperties(b)} {
		b.Run(name, func(b *testing.B) {
			in := wire.AppendMethodFrame(nil, 1, &wire.BasicPublish{Exchange: "amq.topic", RoutingKey: "orders.new"})
			in = wire.AppendContent(in, 1, wire.ClassBasic, raw, make([]byte, 100), benchFrameMax)
			r, p := wire.NewReader(&endless{b: in}), new(wire.Parser)
			r.SetFrameMax(benchFrameMax)
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				readPublish(b, r, p)
			}
		})
	}
}

func readPublish(b *testing.B, r *wire.Reader, p *wire.Parser) {
	b.Helper()
	f, err := r.ReadFrame()
	if err != nil {
		b.Fatal(err)
	}
	if _, err = p.Parse(f.Payload); err != nil {
		b.Fatal(err)
	}
	if f, err = r.ReadFrame(); err != nil {
		b.Fatal(err)
	}
	h, err := wire.ParseContentHeader(f.Payload)
	if err != nil {
		b.Fatal(err)
	}
	if _, err = wire.ViewProperties(h.Raw); err != nil {
		b.Fatal(err)
	}
	if f, err = r.ReadFrame(); err != nil || len(f.Payload) != 100 {
		b.Fatal(f, err)
	}
}

// BenchmarkReadAck: one frame from a stream, parsed.
func BenchmarkReadAck(b *testing.B) {
	in := wire.AppendAck(nil, 1, 77, false)
	r, p := wire.NewReader(&endless{b: in}), new(wire.Parser)
	b.ReportAllocs()
	for b.Loop() {
		f, err := r.ReadFrame()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.Parse(f.Payload); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAppendDelivery: the three frames of a delivery, 100 bytes of body.
func BenchmarkAppendDelivery(b *testing.B) {
	for name, raw := range map[string][]byte{"simple": simpleProperties(b), "celery": celeryProperties(b)} {
		b.Run(name, func(b *testing.B) {
			dst, body := make([]byte, 0, 4096), make([]byte, 100)
			b.ReportAllocs()
			for b.Loop() {
				dst = wire.AppendDeliver(dst[:0], 1, "amq.ctag-abcdefghijklmnop", 77, false, "amq.topic", "orders.new")
				dst = wire.AppendContent(dst, 1, wire.ClassBasic, raw, body, benchFrameMax)
			}
			b.SetBytes(int64(len(dst)))
		})
	}
}

// BenchmarkAppendAck: one frame.
func BenchmarkAppendAck(b *testing.B) {
	dst := make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		dst = wire.AppendAck(dst[:0], 1, 77, true)
	}
}

// BenchmarkParseProperties: all of celery's, headers too.
func BenchmarkParseProperties(b *testing.B) {
	raw := celeryProperties(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.ParseProperties(raw); err != nil {
			b.Fatal(err)
		}
	}
}
