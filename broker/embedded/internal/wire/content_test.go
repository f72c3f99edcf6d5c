package wire_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// readAll returns the frames of b with payloads of their own.
func readAll(t interface{ Fatal(...any) }, b []byte) []wire.Frame {
	var frames []wire.Frame
	r := wire.NewReader(bytes.NewReader(b))
	r.SetFrameMax(1 << 30)
	for r.Buffered() > 0 || len(frames) == 0 {
		f, err := r.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		f.Payload = bytes.Clone(f.Payload)
		frames = append(frames, f)
	}
	return frames
}

func TestAppendContent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOfN(rapid.Byte(), 2, 300).Draw(t, "raw")
		body := rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(t, "body")
		frameMax := rapid.SampledFrom([]uint32{0, 8, 9, 100, 108, 1000, 4096}).Draw(t, "frameMax")
		prefix := rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "prefix")

		out := wire.AppendContent(bytes.Clone(prefix), 9, wire.ClassBasic, raw, body, frameMax)
		if !bytes.HasPrefix(out, prefix) {
			t.Fatal("what was there has changed")
		}
		frames := readAll(t, out[len(prefix):])
		h, err := wire.ParseContentHeader(frames[0].Payload)
		if err != nil {
			t.Fatal(err)
		}
		want := wire.ContentHeader{Class: wire.ClassBasic, BodySize: uint64(len(body)), Raw: raw}
		if diff := cmp.Diff(want, h); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		var got []byte
		for _, f := range frames[1:] {
			if size := len(f.Payload) + wire.FrameOverhead; frameMax > 8 && size > int(frameMax) {
				t.Fatalf("a frame of %d bytes, the limit is %d", size, frameMax)
			}
			if f.Type != wire.FrameBody || f.Channel != 9 || len(f.Payload) == 0 {
				t.Fatalf("type %d, channel %d, %d bytes", f.Type, f.Channel, len(f.Payload))
			}
			got = append(got, f.Payload...)
		}
		if !bytes.Equal(got, body) {
			t.Fatalf("body %x, want %x", got, body)
		}
		least := 0
		if frameMax > 8 {
			least = (len(body) + int(frameMax) - 9) / int(frameMax-8)
		} else if len(body) > 0 {
			least = 1
		}
		if len(frames)-1 != least {
			t.Fatalf("%d body frames, want %d", len(frames)-1, least)
		}
	})
}

// TestAppendBasic: the functions for the hot path write what AppendMethodFrame
// does.
func TestAppendBasic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		channel, tag := rapid.Uint16().Draw(t, "channel"), rapid.Uint64().Draw(t, "tag")
		flag := rapid.Bool().Draw(t, "flag")
		consumer, exchange, key := shortString().Draw(t, "consumer"), shortString().Draw(t, "exchange"), shortString().Draw(t, "key")
		count, code := rapid.Uint32().Draw(t, "count"), rapid.Uint16().Draw(t, "code")
		for _, tt := range []struct {
			got  []byte
			want wire.Method
		}{
			{
				wire.AppendDeliver(nil, channel, consumer, tag, flag, exchange, key),
				&wire.BasicDeliver{ConsumerTag: consumer, DeliveryTag: tag, Redelivered: flag, Exchange: exchange, RoutingKey: key},
			},
			{
				wire.AppendGetOk(nil, channel, tag, flag, exchange, key, count),
				&wire.BasicGetOk{DeliveryTag: tag, Redelivered: flag, Exchange: exchange, RoutingKey: key, MessageCount: count},
			},
			{
				wire.AppendReturn(nil, channel, code, consumer, exchange, key),
				&wire.BasicReturn{ReplyCode: code, ReplyText: consumer, Exchange: exchange, RoutingKey: key},
			},
			{wire.AppendAck(nil, channel, tag, flag), &wire.BasicAck{DeliveryTag: tag, Multiple: flag}},
			{wire.AppendNack(nil, channel, tag, flag), &wire.BasicNack{DeliveryTag: tag, Multiple: flag}},
		} {
			if want := wire.AppendMethodFrame(nil, channel, tt.want); !bytes.Equal(tt.got, want) {
				t.Fatalf("%s: %x, want %x", tt.want.Name(), tt.got, want)
			}
		}
	})
}

func TestAppendDoesNotAllocate(t *testing.T) {
	dst, raw, body := make([]byte, 0, 4096), celeryProperties(t), make([]byte, 100)
	for name, f := range map[string]func(){
		"deliver": func() {
			b := wire.AppendDeliver(dst, 1, "ctag", 1, false, "exchange", "key")
			wire.AppendContent(b, 1, wire.ClassBasic, raw, body, 131072)
		},
		"get-ok": func() { wire.AppendGetOk(dst, 1, 1, false, "exchange", "key", 5) },
		"return": func() { wire.AppendReturn(dst, 1, 312, "NO_ROUTE", "exchange", "key") },
		"ack":    func() { wire.AppendAck(dst, 1, 1, true) },
		"nack":   func() { wire.AppendNack(dst, 1, 1, true) },
	} {
		if got := testing.AllocsPerRun(100, f); got != 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}
