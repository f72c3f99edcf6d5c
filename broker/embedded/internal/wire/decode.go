package wire

import (
	"encoding/binary"
	"unicode/utf8"
)

// decoder takes values from the front of b. After the first error it returns
// zero values; err says what was wrong.
type decoder struct {
	b   []byte
	err error
}

// errShort is one value, so that failing takes no memory.
var errShort error = &SyntaxError{Text: "ends too early"}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.b = nil
}

// take returns the next n bytes, which are the input's memory.
func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.b) {
		d.fail(errShort)
		return nil
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) octet() uint8 {
	if len(d.b) < 1 {
		d.fail(errShort)
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *decoder) short() uint16 {
	if len(d.b) < 2 {
		d.fail(errShort)
		return 0
	}
	v := binary.BigEndian.Uint16(d.b)
	d.b = d.b[2:]
	return v
}

func (d *decoder) long() uint32 {
	if len(d.b) < 4 {
		d.fail(errShort)
		return 0
	}
	v := binary.BigEndian.Uint32(d.b)
	d.b = d.b[4:]
	return v
}

func (d *decoder) longlong() uint64 {
	if len(d.b) < 8 {
		d.fail(errShort)
		return 0
	}
	v := binary.BigEndian.Uint64(d.b)
	d.b = d.b[8:]
	return v
}

// shortBytes returns a short string as the input's memory.
func (d *decoder) shortBytes() []byte { return d.take(int(d.octet())) }

// longBytes returns a long string as the input's memory. Lengths that an int
// of 32 bits cannot hold are negative and refused by take.
func (d *decoder) longBytes() []byte { return d.take(int(d.long())) }

// shortstr leaves *s alone if it has the same text already: a publisher's
// exchange and key are mostly those of its message before.
func (d *decoder) shortstr(s *string) {
	if b := d.shortBytes(); string(b) != *s {
		*s = string(b)
	}
}

// name is a short string that must be UTF-8. RabbitMQ asks this of the strings
// of all methods but those with content.
func (d *decoder) name(s *string) {
	d.shortstr(s)
	if d.err == nil && !utf8.ValidString(*s) {
		d.fail(errNotUTF8)
	}
}

var errNotUTF8 error = &FrameError{Text: "Malformed UTF-8 in shortstr"} // RabbitMQ's words

func (d *decoder) longstr(s *string) {
	if b := d.longBytes(); string(b) != *s {
		*s = string(b)
	}
}

func (d *decoder) table(t *Table) {
	fields := d.longBytes()
	*t = nil
	if len(fields) == 0 {
		return
	}
	parsed, err := ParseTable(fields)
	if err != nil {
		d.fail(err)
		return
	}
	*t = parsed
}
