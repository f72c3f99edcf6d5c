package amqp

import (
	"encoding/binary"
	"net"
	"slices"

	"github.com/magne-actors/magne-actors/broker"
)

const (
	guardBytes = 64 << 10
	// maxFrame is the largest payload that amqp091-go reads: it offers 128 KiB.
	maxFrame = 128 << 10

	frameHead   = 7 // type, channel, size
	headerFrame = 2 // frame type: content header

	// Of a content header's payload: class, weight, body size; then the flags of
	// the properties that are present, in the order of their bits from the top.
	flagsAt             = 2 + 2 + 8
	flagContentType     = 1 << 15
	flagContentEncoding = 1 << 14
	flagHeaders         = 1 << 13
)

// guard is the net.Conn that amqp091-go reads from, above TLS. It takes out what
// one message must not do to a connection.
//
// amqp091-go answers headers that it does not like (see checkTable) by closing
// the whole connection. RabbitMQ likes them, and delivers the message again to
// the next connection, which dies of it too, and so on: one message stops every
// consumer for ever. So the guard reads ahead and puts the marker
// [broker.HeaderDropped] in the place of such headers. All else passes as it is.
//
// It costs a look at the header of each frame and at the headers of each message.
// It pays for that with a larger buffer than the library's 4 KiB: there are fewer
// system calls.
type guard struct {
	net.Conn
	buf              []byte
	next, safe, fill int   // buf[next:safe] is ready; buf[safe:fill] was not looked at
	pass             int64 // so many bytes after safe need no look
	err              error // of Conn; it is returned after what was read
}

func newGuard(c net.Conn) *guard { return &guard{Conn: c, buf: make([]byte, guardBytes)} }

// Read waits for more than some bytes only where a content header is incomplete.
func (g *guard) Read(p []byte) (int, error) {
	for g.next == g.safe {
		if g.err != nil {
			return 0, g.err
		}
		g.refill()
		g.inspect()
	}
	n := copy(p, g.buf[g.next:g.safe])
	g.next += n
	return n, nil
}

// refill reads once. Nothing is ready when it is called.
func (g *guard) refill() {
	if g.safe > 0 {
		g.fill = copy(g.buf, g.buf[g.safe:g.fill])
		g.next, g.safe = 0, 0
	}
	if g.fill == len(g.buf) { // less than a frame: this happens twice at most
		g.buf = append(g.buf, make([]byte, len(g.buf))...)
	}
	n, err := g.Conn.Read(g.buf[g.fill:])
	g.fill += n
	g.err = err
}

// inspect makes ready what is complete.
func (g *guard) inspect() {
	for {
		n := min(g.pass, int64(g.fill-g.safe))
		g.safe += int(n)
		g.pass -= n
		rest := g.buf[g.safe:g.fill]
		if len(rest) < frameHead {
			break
		}
		size := int64(binary.BigEndian.Uint32(rest[3:]))
		whole := frameHead + size + 1 // the end of a frame is one byte
		if rest[0] == headerFrame && size <= maxFrame {
			if int64(len(rest)) < whole {
				break
			}
			whole += int64(g.correct(rest[frameHead : whole-1]))
		}
		g.pass = whole
	}
	if g.err != nil {
		g.safe = g.fill // it stays incomplete
	}
}

// correct replaces the headers in the payload of the frame at safe, if it has to,
// and returns by how much the frame has grown.
func (g *guard) correct(payload []byte) int {
	from, to := headersOf(payload)
	if from == to {
		return 0
	}
	refused := checkTable(payload[from+4 : to])
	if refused == "" {
		return 0
	}
	table := droppedTable(refused)
	grown := len(table) - (to - from)
	start := g.safe + frameHead
	g.buf = slices.Replace(g.buf, start+from, start+to, table...)
	g.buf = g.buf[:cap(g.buf)]
	g.fill += grown
	binary.BigEndian.PutUint32(g.buf[g.safe+3:], uint32(len(payload)+grown))
	return grown
}

// headersOf returns where the headers are in the payload of a content header,
// their length included. It returns 0, 0 when there are none, or when the payload
// is so broken that nobody can say.
func headersOf(payload []byte) (from, to int) {
	if len(payload) < flagsAt+2 {
		return 0, 0
	}
	flags := binary.BigEndian.Uint16(payload[flagsAt:])
	if flags&flagHeaders == 0 {
		return 0, 0
	}
	at := flagsAt + 2
	for _, flag := range [...]uint16{flagContentType, flagContentEncoding} {
		if flags&flag != 0 && at < len(payload) {
			at += 1 + int(payload[at])
		}
	}
	if at+4 > len(payload) {
		return 0, 0
	}
	size := int64(binary.BigEndian.Uint32(payload[at:]))
	if size > int64(len(payload)-at-4) {
		return 0, 0
	}
	return at, at + 4 + int(size)
}

// droppedTable is the table that says that the headers were dropped, and why.
func droppedTable(why string) []byte {
	const key = broker.HeaderDropped
	value := "dropped: " + why
	size := 1 + len(key) + 1 + 4 + len(value)
	t := binary.BigEndian.AppendUint32(make([]byte, 0, 4+size), uint32(size))
	t = append(t, byte(len(key)))
	t = append(t, key...)
	t = append(t, 'S')
	t = binary.BigEndian.AppendUint32(t, uint32(len(value)))
	return append(t, value...)
}

// container is a table or an array that is being walked through.
type container struct {
	end, elements int
	table         bool
}

// checkTable returns why amqp091-go would refuse a table whose entries are b, or
// "". It is at least as strict. RabbitMQ writes a number of 64 bits as l or as L,
// as the publisher did; the library knows only l, so each L is made one.
func checkTable(b []byte) (refused string) {
	var open [maxDepth + 1]container
	open[0] = container{end: len(b), table: true}
	depth, at := 0, 0
	for at < open[0].end {
		c := &open[depth]
		if at == c.end {
			depth--
			continue
		}
		if c.elements++; c.elements > maxElements {
			return fits(c.elements, 0).Error()
		}
		if c.table {
			at += 1 + int(b[at])
		}
		if at >= c.end {
			return notWellFormed
		}
		if b[at] == 'L' {
			b[at] = 'l'
		}
		kind := b[at]
		size, ok := fieldSize(b[at:c.end])
		if !ok {
			return notWellFormed
		}
		if kind == 'F' || kind == 'A' {
			depth++
			if err := fits(0, depth); err != nil {
				return err.Error()
			}
			open[depth] = container{end: at + size, table: kind == 'F'}
			size = 1 + 4
		}
		at += size
	}
	return ""
}

const notWellFormed = "not well formed"

// fieldSize returns how many bytes the field at the start of b takes, its type
// included, and whether they are there.
func fieldSize(b []byte) (size int, ok bool) {
	switch b[0] {
	case 'V':
		size = 0
	case 't', 'b', 'B':
		size = 1
	case 's', 'u':
		size = 2
	case 'I', 'i', 'f':
		size = 4
	case 'D':
		size = 1 + 4
	case 'l', 'd', 'T':
		size = 8
	case 'S', 'x', 'A', 'F':
		if len(b) < 1+4 {
			return 0, false
		}
		n := binary.BigEndian.Uint32(b[1:])
		if int64(n) > int64(len(b)-1-4) {
			return 0, false
		}
		size = 4 + int(n)
	default:
		return 0, false
	}
	return 1 + size, 1+size <= len(b)
}
