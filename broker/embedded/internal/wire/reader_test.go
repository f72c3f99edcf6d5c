package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// TestFramesRoundTrip: frames come back whole however the bytes are cut, large
// ones and small ones in turn.
func TestFramesRoundTrip(t *testing.T) {
	const frameMax = 131072
	rapid.Check(t, func(t *rapid.T) {
		var want []wire.Frame
		var bytesIn []byte
		for range rapid.IntRange(0, 8).Draw(t, "frames") {
			size := rapid.SampledFrom([]int{0, 1, 100, 4088, 32759, 32760, 32761, 70000, frameMax - wire.FrameOverhead}).Draw(t, "size")
			f := wire.Frame{
				Type:    rapid.SampledFrom([]uint8{wire.FrameMethod, wire.FrameHeader, wire.FrameBody}).Draw(t, "type"),
				Channel: rapid.Uint16().Draw(t, "channel"),
				Payload: bytes.Repeat([]byte{rapid.Byte().Draw(t, "fill")}, size),
			}
			want = append(want, f)
			bytesIn = wire.AppendFrame(bytesIn, f.Type, f.Channel, f.Payload)
			if rapid.Bool().Draw(t, "heartbeat") {
				want = append(want, wire.Frame{Type: wire.FrameHeartbeat})
				bytesIn = wire.AppendHeartbeat(bytesIn)
			}
		}
		in := rapid.SampledFrom([]func(io.Reader) io.Reader{
			iotest.DataErrReader, iotest.HalfReader, func(r io.Reader) io.Reader { return r },
		}).Draw(t, "reader")
		r := wire.NewReader(in(bytes.NewReader(bytesIn)))
		r.SetFrameMax(frameMax)
		for i, w := range want {
			got, err := r.ReadFrame()
			if err != nil {
				t.Fatalf("frame %d: %v", i, err)
			}
			if got.Type != w.Type || got.Channel != w.Channel || !bytes.Equal(got.Payload, w.Payload) {
				t.Fatalf("frame %d: type %d, channel %d, %d bytes, want %d, %d, %d",
					i, got.Type, got.Channel, len(got.Payload), w.Type, w.Channel, len(w.Payload))
			}
		}
		if _, err := r.ReadFrame(); !errors.Is(err, io.EOF) {
			t.Fatalf("after the last frame: %v, want EOF", err)
		}
	})
}

func TestReadFrameErrors(t *testing.T) {
	whole := wire.AppendMethodFrame(nil, 3, &wire.ChannelOpen{})
	tests := []struct {
		name string
		in   []byte
		want string
	}{
		{"nothing", nil, "EOF"},
		{"unknown type", []byte("\x09\x00\x01\x00\x00\x00\x00\xce"), "wire: frame error: type 9, channel 1: unknown frame"},
		{"text", []byte("GET / HTTP/1.1\r\n\r\n"), "wire: frame error: type 71, channel 17748: unknown frame"},
		{"heartbeat with a payload", []byte("\x08\x00\x00\x00\x00\x00\x01x\xce"), "wire: frame error: channel 0: a heartbeat with a payload of 1 bytes"},
		{"wrong end", []byte("\x01\x00\x01\x00\x00\x00\x00\xcf"), "wire: frame error: type 1, channel 1: ends with octet 207"},
		{"too large", []byte("\x03\x00\x01\x00\x00\x10\x01"), "wire: frame error: type 3, channel 1: a payload of 4097 bytes is too large, the limit is 4088"},
		{"much too large", []byte("\x03\x00\x01\xff\xff\xff\xff"), "wire: frame error: type 3, channel 1: a payload of 4294967295 bytes is too large, the limit is 4088"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := wire.NewReader(bytes.NewReader(tt.in)).ReadFrame()
			if err == nil || err.Error() != tt.want {
				t.Fatalf("got %v, want %s", err, tt.want)
			}
			if e, ok := errors.AsType[*wire.FrameError](err); ok && e.Code() != wire.CodeFrameError {
				t.Errorf("code %d", e.Code())
			}
		})
	}
	for n := 1; n < len(whole); n++ {
		_, err := wire.NewReader(bytes.NewReader(whole[:n])).ReadFrame()
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
}

// TestReadErrorsPass: what the connection says is what ReadFrame says.
func TestReadErrorsPass(t *testing.T) {
	broken := errors.New("broken")
	large := wire.AppendFrame(nil, wire.FrameBody, 1, make([]byte, 100000))
	for _, before := range [][]byte{nil, []byte("\x01\x00"), []byte("\x01\x00\x01\x00\x00\x00\x05abc"), large[:90000]} {
		r := wire.NewReader(io.MultiReader(bytes.NewReader(before), iotest.ErrReader(broken)))
		r.SetFrameMax(200000)
		if _, err := r.ReadFrame(); !errors.Is(err, broken) {
			t.Errorf("after %d bytes: %v", len(before), err)
		}
	}
}

func TestSetFrameMax(t *testing.T) {
	for _, tt := range []struct {
		limit  uint32
		accept int // largest payload
	}{
		{0, wire.MinFrameSize},
		{1, wire.MinFrameSize},
		{wire.MinFrameSize, wire.MinFrameSize},
		{131072, 131072},
	} {
		for _, over := range []int{0, 1} {
			r := wire.NewReader(bytes.NewReader(wire.AppendFrame(nil, wire.FrameBody, 1, make([]byte, tt.accept+over))))
			r.SetFrameMax(tt.limit)
			if _, err := r.ReadFrame(); (err == nil) != (over == 0) {
				t.Errorf("limit %d, %d bytes: %v", tt.limit, tt.accept+over, err)
			}
		}
	}
	r := wire.NewReader(bytes.NewReader([]byte("\x03\x00\x01\xff\xff\xff\xff")))
	r.SetFrameMax(1<<32 - 1)
	if _, err := r.ReadFrame(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a frame of 4 GiB: %v", err)
	}
}

func TestReadProtocolHeader(t *testing.T) {
	for in, want := range map[string]error{
		wire.ProtocolHeader:        nil,
		"AMQP\x00\x01\x00\x00":     wire.ErrProtocolHeader, // AMQP 1.0
		"AMQP\x03\x01\x00\x00more": wire.ErrProtocolHeader,
		"GET / HTTP/1.1\r\n":       wire.ErrProtocolHeader,
		"":                         io.EOF,
		"AMQP":                     io.ErrUnexpectedEOF,
	} {
		if err := wire.NewReader(iotest.OneByteReader(bytes.NewReader([]byte(in)))).ReadProtocolHeader(); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", in, err, want)
		}
	}
}

func TestBuffered(t *testing.T) {
	one := wire.AppendHeartbeat(nil)
	r := wire.NewReader(bytes.NewReader(append(one, one...)))
	var got []int
	for range 2 {
		if _, err := r.ReadFrame(); err != nil {
			t.Fatal(err)
		}
		got = append(got, r.Buffered())
	}
	if diff := cmp.Diff([]int{len(one), 0}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// endless repeats its bytes.
type endless struct {
	b  []byte
	at int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.b[e.at:])
	e.at = (e.at + n) % len(e.b)
	return n, nil
}

func TestReadFrameDoesNotAllocate(t *testing.T) {
	var in []byte
	for _, size := range []int{0, 100, 20000, 100000} {
		in = wire.AppendFrame(in, wire.FrameBody, 1, make([]byte, size))
	}
	r := wire.NewReader(&endless{b: in})
	r.SetFrameMax(131072)
	if got := testing.AllocsPerRun(100, func() {
		if _, err := r.ReadFrame(); err != nil {
			t.Fatal(err)
		}
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// TestSizeTakesNoMemory: a frame that is announced and does not come costs what
// has come of it.
func TestSizeTakesNoMemory(t *testing.T) {
	const limit = 1 << 28
	for _, came := range []int{0, 1000, 100000} {
		in := append(binary.BigEndian.AppendUint32([]byte{wire.FrameBody, 0, 1}, limit), make([]byte, came)...)
		r := wire.NewReader(bytes.NewReader(in))
		r.SetFrameMax(limit)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := r.ReadFrame()
		runtime.ReadMemStats(&after)
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes: %v", came, err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > uint64(100000+6*came) {
			t.Errorf("%d bytes took %d", came, took)
		}
	}
}

// TestPayloadHasNoRoom: appending to a payload does not overwrite what follows.
func TestPayloadHasNoRoom(t *testing.T) {
	in := wire.AppendFrame(nil, wire.FrameBody, 1, []byte("first"))
	in = wire.AppendFrame(in, wire.FrameBody, 2, []byte("second"))
	r := wire.NewReader(bytes.NewReader(in))
	f, err := r.ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	_ = append(f.Payload, "overwritten"...)
	if f, err = r.ReadFrame(); err != nil || string(f.Payload) != "second" {
		t.Errorf("%q, %v", f.Payload, err)
	}
}

func TestContentHeaderErrors(t *testing.T) {
	good := append([]byte{0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2}, 0, 0)
	h, err := wire.ParseContentHeader(good)
	if err != nil {
		t.Fatal(err)
	}
	want := wire.ContentHeader{Class: wire.ClassBasic, BodySize: 0x102, Raw: []byte{0, 0}}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for n := range good {
		if _, err := wire.ParseContentHeader(good[:n]); !asSyntax(err) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	binary.BigEndian.PutUint16(good[2:], 1)
	if _, err := wire.ParseContentHeader(good); !asSyntax(err) {
		t.Errorf("weight 1: %v", err)
	}
}
