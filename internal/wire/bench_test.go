package wire_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/magne-actors/magne-actors/internal/wire"
)

// again is a Reader's source that repeats a text without end.
type again struct {
	text []byte
	rest []byte
}

func (a *again) Read(p []byte) (int, error) {
	if len(a.rest) == 0 {
		a.rest = a.text
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

func BenchmarkRead(b *testing.B) {
	for name, f := range map[string]wire.Frame{
		"ok":       {Type: wire.OK, ID: 123456},
		"ok64KiB":  {Type: wire.OK, ID: 123456, Body: make([]byte, 64<<10)},
		"progress": {Type: wire.Progress, ID: 123456, Percent: 40, Message: "page 4/10"},
		"task":     taskFrame(),
	} {
		b.Run(name, func(b *testing.B) {
			var text bytes.Buffer
			if err := wire.NewWriter(&text, wire.Limits{}).Write(&f); err != nil {
				b.Fatal(err)
			}
			r := wire.NewReader(&again{text: text.Bytes()}, wire.Limits{})
			b.SetBytes(int64(text.Len()))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Next(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkWrite(b *testing.B) {
	w := wire.NewWriter(io.Discard, wire.Limits{})
	f := taskFrame()
	b.ReportAllocs()
	for b.Loop() {
		if err := w.Write(&f); err != nil {
			b.Fatal(err)
		}
	}
}

func taskFrame() wire.Frame {
	return wire.Frame{
		Type: wire.Task, ID: 123456, Name: "resize", Attempt: 1, Deadline: 29950e6, ContentType: "application/json",
		Header: map[string]string{"trace": "4bf92f3577b34da6"}, Body: []byte(`{"args":["a.png",640]}`),
	}
}
