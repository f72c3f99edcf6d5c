package amqp

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	_ "unsafe" // for go:linkname

	amqp091 "github.com/rabbitmq/amqp091-go"
	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/broker"
)

// libraryReadTable is the code whose refusals the guard must foresee.
//
//go:linkname libraryReadTable github.com/rabbitmq/amqp091-go.readTable
func libraryReadTable(r io.Reader) (amqp091.Table, error)

// sized is b with its length before it.
func sized(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

func cat(parts ...any) []byte {
	var out []byte
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			out = append(out, p...)
		case []byte:
			out = append(out, p...)
		case int:
			out = append(out, byte(p))
		}
	}
	return out
}

// nested is a field with n tables or arrays around nothing.
func nested(kind byte, n int) []byte {
	field := []byte{'V'}
	for range n {
		if kind == 'F' {
			field = cat("\x01k", field)
		}
		field = cat(string(kind), sized(field))
	}
	return field
}

func repeated(n int, entry string) []byte { return []byte(strings.Repeat(entry, n)) }

// numberedTable has n entries with different keys.
func numberedTable(n int) []byte {
	var b []byte
	for i := range n {
		b = cat(b, 2, i>>8, i, "V")
	}
	return b
}

func TestCheckTable(t *testing.T) {
	const deep, many = "nested deeper than 32", "more than 8192 elements"
	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"empty":                {nil, ""},
		"every type":           {[]byte("\x01aV\x01bt1\x01bb1\x01bB1\x01cs12\x01cu12\x01dI1234\x01di1234\x01df1234\x01eD12345\x01fl12345678\x01fd12345678\x01fT12345678\x01gS\x00\x00\x00\x02hi\x01gx\x00\x00\x00\x02hi\x01hA\x00\x00\x00\x02t1\x01iF\x00\x00\x00\x00"), ""},
		"32 tables":            {cat("\x01a", nested('F', 32)), ""},
		"33 tables":            {cat("\x01a", nested('F', 33)), deep},
		"32 arrays":            {cat("\x01a", nested('A', 32)), ""},
		"33 arrays":            {cat("\x01a", nested('A', 33)), deep},
		"a thousand arrays":    {cat("\x01a", nested('A', 1000)), deep},
		"deep behind the good": {cat("\x01aV", "\x01b", nested('F', 32), "\x01c", nested('A', 33)), deep},
		"8192 entries":         {numberedTable(8192), ""},
		"8193 entries":         {numberedTable(8193), many},
		"8192 in an array":     {cat("\x01aA", sized(repeated(8192, "V"))), ""},
		"8193 in an array":     {cat("\x01aA", sized(repeated(8193, "V"))), many},
		"many arrays of some":  {cat("\x01aA", sized(repeated(8192, "A\x00\x00\x00\x01V"))), ""},
		"unknown type":         {[]byte("\x01aZ"), notWellFormed},
		"no type":              {[]byte("\x01a"), notWellFormed},
		"half a key":           {[]byte("\x05a"), notWellFormed},
		"half a number":        {[]byte("\x01al1234"), notWellFormed},
		"half a length":        {[]byte("\x01aS\x00\x00"), notWellFormed},
		"half a string":        {[]byte("\x01aS\x00\x00\x00\x02h"), notWellFormed},
		"a huge string":        {[]byte("\x01aS\xff\xff\xff\xffh"), notWellFormed},
		"half a table":         {[]byte("\x01aF\x00\x00\x00\x02h"), notWellFormed},
		"out of its array":     {cat("\x01aA", sized([]byte("S\x00\x00\x00\x04x")), "\x01bV"), notWellFormed},
	} {
		t.Run(name, func(t *testing.T) {
			if got := checkTable(c.b); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			_, err := libraryReadTable(bytes.NewReader(sized(c.b)))
			if (err == nil) != (c.want == "") {
				t.Errorf("the library says %v, want refused %v", err, c.want != "")
			}
		})
	}
}

// TestCheckTableLong: RabbitMQ hands on a publisher's L, which the library does
// not know.
func TestCheckTableLong(t *testing.T) {
	b := []byte("\x01LL\x00\x00\x00\x00\x00\x00\x00\x07\x01aA\x00\x00\x00\x09L\x00\x00\x00\x00\x00\x00\x00L")
	if _, err := libraryReadTable(bytes.NewReader(sized(b))); err == nil {
		t.Error("the library knows L: nothing to do any more")
	}
	if got := checkTable(b); got != "" {
		t.Errorf("refused: %s", got)
	}
	got, err := libraryReadTable(bytes.NewReader(sized(b)))
	if err != nil || got["L"] != int64(7) || got["a"].([]any)[0] != int64('L') {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestCheckTableProperty: of well-formed tables, the guard refuses those that the
// library refuses.
func TestCheckTableProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var field func(depth int) []byte
		field = func(depth int) []byte {
			kind := rapid.SampledFrom([]byte("VtAFAF")).Draw(t, "kind")
			switch {
			case kind == 't':
				return []byte("t1")
			case kind == 'V' || depth == 0:
				return []byte("V")
			}
			n := rapid.SampledFrom([]int{0, 1, 1, 1, 1, 2}).Draw(t, "elements")
			if rapid.IntRange(0, 60).Draw(t, "large") == 0 {
				return cat(string(kind), sized(map[byte][]byte{
					'A': repeated(maxElements+n-1, "V"), 'F': numberedTable(maxElements + n - 1),
				}[kind]))
			}
			var in []byte
			for i := range n {
				if kind == 'F' {
					in = cat(in, 1, i)
				}
				in = append(in, field(depth-1)...)
			}
			return cat(string(kind), sized(in))
		}
		b := cat("\x01a", field(40))
		wrapped := rapid.IntRange(0, 34).Draw(t, "around")
		for range wrapped {
			b = cat("\x01wF", sized(b))
		}
		_, err := libraryReadTable(bytes.NewReader(sized(b)))
		if refused := checkTable(b); (refused != "") != (err != nil) {
			t.Fatalf("the guard says %q, the library %v", refused, err)
		}
	})
}

func rawFrame(kind byte, payload []byte) []byte {
	return cat(int(kind), "\x00\x01", sized(payload), 0xCE)
}

// header is a content header with all properties before the headers and some
// after them, and entries as its headers.
func header(entries []byte) []byte {
	return rawFrame(headerFrame, cat("\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x04", "\xf8\x80",
		"\x03a/b", "\x04gzip", sized(entries), 2, 5, "\x02id"))
}

// plain is a content header with these flags and properties.
func plain(properties string) []byte {
	return rawFrame(headerFrame, cat(make([]byte, flagsAt), properties))
}

func marker(why string) []byte { return droppedTable(why)[4:] }

// pieces is a net.Conn that yields the stream in pieces of at most max bytes.
type pieces struct {
	net.Conn
	stream []byte
	max    func() int
	end    error // comes with the last piece
}

func (p *pieces) Read(b []byte) (int, error) {
	n := copy(b[:min(len(b), max(1, p.max()))], p.stream)
	p.stream = p.stream[n:]
	if len(p.stream) == 0 {
		return n, p.end
	}
	return n, nil
}

// through sends a stream through a guard.
func through(t testing.TB, stream []byte, size func() int) []byte {
	t.Helper()
	g := newGuard(&pieces{stream: stream, max: size, end: io.EOF})
	got, err := io.ReadAll(g)
	if err != nil {
		t.Fatal(err)
	}
	if len(g.buf) < guardBytes || len(g.buf) > 4*guardBytes {
		t.Errorf("the buffer has %d bytes now", len(g.buf))
	}
	return got
}

func TestGuard(t *testing.T) {
	method, body := rawFrame(1, []byte("\x00\x3c\x00\x3c...")), rawFrame(3, []byte("body"))
	bad := header(cat("\x01a", nested('F', 33)))
	good := header([]byte("\x01aV"))
	large := header(cat("\x01aS", sized(make([]byte, 100_000))))
	for name, c := range map[string]struct{ in, want []byte }{
		"nothing":     {nil, nil},
		"good":        {cat(method, good, body, large, method), cat(method, good, body, large, method)},
		"no headers":  {plain("\xdf\x00\x01x\x01y\x02"), plain("\xdf\x00\x01x\x01y\x02")},
		"only them":   {plain("\x20\x00\x00\x00\x00\x01?"), plain("\x20\x00" + string(droppedTable(notWellFormed)))},
		"too short":   {plain("\x20\x00\x00\x00\x00\x02?"), plain("\x20\x00\x00\x00\x00\x02?")},
		"many bad":    {bytes.Repeat(bad, 2000), bytes.Repeat(header(marker("nested deeper than 32")), 2000)},
		"bad":         {cat(method, bad, body, good), cat(method, header(marker("nested deeper than 32")), body, good)},
		"growing":     {cat(header([]byte("?")), good), cat(header(marker(notWellFormed)), good)},
		"bad, large":  {cat(large, header(cat("\x01aA", sized(repeated(100_000, "V")))), good), cat(large, header(marker("more than 8192 elements")), good)},
		"incomplete":  {cat(method, bad[:len(bad)-1]), cat(method, bad[:len(bad)-1])},
		"half a head": {cat(method, bad[:5]), cat(method, bad[:5])},
		"in a body":   {cat(rawFrame(3, bad), good), cat(rawFrame(3, bad), good)},
		"too large":   {rawFrame(2, make([]byte, maxFrame+1)), rawFrame(2, make([]byte, maxFrame+1))},
		"no AMQP":     {[]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), []byte("HTTP/1.1 400 Bad Request\r\n\r\n")},
	} {
		for _, size := range []int{1, 7, 1000, 1 << 20} {
			if got := through(t, c.in, func() int { return size }); !bytes.Equal(got, c.want) {
				t.Errorf("%s, read in pieces of %d: got\n%.200q, want\n%.200q", name, size, got, c.want)
			}
		}
	}
}

// TestGuardHidesNothing: what has arrived is handed on, when nothing more comes.
func TestGuardHidesNothing(t *testing.T) {
	ours, peer := net.Pipe()
	defer ours.Close()
	defer peer.Close()
	want := cat(rawFrame(1, []byte("method")), header([]byte("\x01aV")), rawFrame(3, make([]byte, 100))[:50])
	go peer.Write(want)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(newGuard(ours), got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestDroppedTable(t *testing.T) {
	got, err := libraryReadTable(bytes.NewReader(droppedTable("nested deeper than 32")))
	if err != nil || len(got) != 1 || got[broker.HeaderDropped] != "dropped: nested deeper than 32" {
		t.Errorf("got %v, %v", got, err)
	}
}

// FuzzCheckTable: what the guard lets through, the library takes.
func FuzzCheckTable(f *testing.F) {
	f.Add([]byte("\x01aV\x01bl12345678\x01cS\x00\x00\x00\x02hi\x01hA\x00\x00\x00\x02t1\x01iF\x00\x00\x00\x03\x01aV"))
	f.Add(cat("\x01a", nested('F', 32)))
	f.Add(cat("\x01a", nested('A', 33)))
	f.Add(repeated(8193, "\x00V"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if refused := checkTable(b); refused != "" {
			return
		}
		if _, err := libraryReadTable(bytes.NewReader(sized(b))); err != nil {
			t.Errorf("the guard lets through what the library refuses: %v", err)
		}
	})
}

// corrected is what the guard does, without a stream.
func corrected(stream []byte) (out []byte) {
	for {
		if len(stream) < frameHead {
			return append(out, stream...)
		}
		size := int64(binary.BigEndian.Uint32(stream[3:]))
		if int64(len(stream)) < frameHead+size+1 {
			return append(out, stream...)
		}
		head, payload, end := stream[:frameHead], stream[frameHead:frameHead+size], stream[frameHead+size]
		stream = stream[frameHead+size+1:]
		if from, to := headersOf(payload); head[0] == headerFrame && size <= maxFrame && to > 0 {
			if refused := checkTable(payload[from+4 : to]); refused != "" {
				payload = cat(payload[:from], droppedTable(refused), payload[to:])
			}
		}
		out = cat(out, head[:3], sized(payload), int(end))
	}
}

// FuzzGuard: in whatever pieces a stream comes, the guard makes the same of it.
func FuzzGuard(f *testing.F) {
	good, bad := header([]byte("\x01aV\x01bL12345678")), header(cat("\x01a", nested('F', 33)))
	f.Add(cat(rawFrame(1, []byte("method")), good, rawFrame(3, []byte("body")), bad, good), uint64(1))
	f.Add(cat(bad, header([]byte("?")), good[:20]), uint64(2))
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // not a secret
		got := through(t, slices.Clone(stream), func() int { return r.IntN(1 + r.IntN(1+len(stream))) })
		if want := corrected(slices.Clone(stream)); !bytes.Equal(got, want) {
			t.Errorf("got\n%q, want\n%q", got, want)
		}
	})
}

// endless yields the same bytes for ever.
type endless struct {
	net.Conn
	stream []byte
	at     int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.stream[e.at:])
	e.at = (e.at + n) % len(e.stream)
	return n, nil
}

// BenchmarkGuard is the cost of one small message, in the reads of 4 KiB that the
// library does. "bare" is the same without the guard.
func BenchmarkGuard(b *testing.B) {
	message := cat(rawFrame(1, make([]byte, 60)), header([]byte("\x04taskS\x00\x00\x00\x06resize\x07attemptl12345678\x02idS\x00\x00\x00\x2400000000-0000-0000-0000-000000000000")), rawFrame(3, make([]byte, 100)))
	stream := bytes.Repeat(message, 1000)
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"bare":    func(c net.Conn) net.Conn { return c },
		"guarded": func(c net.Conn) net.Conn { return newGuard(c) },
	} {
		b.Run(name, func(b *testing.B) {
			c, p := wrap(&endless{stream: stream}), make([]byte, 4096)
			b.SetBytes(int64(len(message)))
			b.ReportAllocs()
			left := 0
			for b.Loop() {
				for left < len(message) {
					n, err := c.Read(p)
					if err != nil {
						b.Fatal(err)
					}
					left += n
				}
				left -= len(message)
			}
		})
	}
}
