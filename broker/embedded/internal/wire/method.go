package wire

import (
	"encoding/binary"
	"errors"
)

// Method is a pointer to one of the structs of methods_gen.go, such as
// *QueueDeclare. Arguments that the protocol reserves are not in the structs.
type Method interface {
	ID() (class, method uint16)
	Name() string // "queue.declare"

	parse(d *decoder)
	append(b []byte) []byte
}

// ParseMethod parses the payload of a method frame. The error is a *SyntaxError,
// a *FrameError (a name that is not UTF-8) or an *UnknownMethodError. An empty
// table is nil in the method.
func ParseMethod(payload []byte) (Method, error) {
	class, method, err := methodID(payload)
	if err != nil {
		return nil, err
	}
	m := newMethod(class, method)
	if m == nil {
		return nil, &UnknownMethodError{Class: class, Method: method}
	}
	d := decoder{b: payload[4:]}
	m.parse(&d)
	if err := d.finish(m); err != nil {
		return nil, err
	}
	return m, nil
}

func methodID(payload []byte) (class, method uint16, err error) {
	if len(payload) < 4 {
		return 0, 0, syntaxErrorf("a method frame of %d bytes", len(payload))
	}
	return binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:]), nil
}

// AppendMethod appends the payload of a method frame. It panics when a table in
// m holds what Table does not allow, which is a mistake of the program: tables
// that were parsed never do.
func AppendMethod(dst []byte, m Method) []byte {
	class, method := m.ID()
	dst = binary.BigEndian.AppendUint16(dst, class)
	dst = binary.BigEndian.AppendUint16(dst, method)
	return m.append(dst)
}

// Parser parses methods as ParseMethod does, and keeps one struct of each method
// that comes once per message (basic.publish, ack, nack, reject). The zero value
// is ready for use.
type Parser struct {
	publish BasicPublish
	ack     BasicAck
	nack    BasicNack
	reject  BasicReject
}

// Parse is ParseMethod without an allocation for the frequent methods. Such a
// method is valid until the next Parse; its strings are for good, and are the
// ones of the method before when they are the same.
func (p *Parser) Parse(payload []byte) (Method, error) {
	if class, method, err := methodID(payload); err == nil && class == ClassBasic {
		d := decoder{b: payload[4:]}
		// Not through the interface: with static calls d stays on the stack.
		switch method {
		case 40:
			p.publish.parse(&d)
			return frequent(&p.publish, &d)
		case 80:
			p.ack.parse(&d)
			return frequent(&p.ack, &d)
		case 90:
			p.reject.parse(&d)
			return frequent(&p.reject, &d)
		case 120:
			p.nack.parse(&d)
			return frequent(&p.nack, &d)
		}
	}
	return ParseMethod(payload)
}

func frequent(m Method, d *decoder) (Method, error) {
	if err := d.finish(m); err != nil {
		return nil, err
	}
	return m, nil
}

// finish returns what was wrong with the arguments of a method.
func (d *decoder) finish(m Method) error {
	switch {
	case d.err != nil:
		if e, ok := errors.AsType[*SyntaxError](d.err); ok {
			return syntaxErrorf("%s: %s", m.Name(), e.Text)
		}
		return d.err
	case len(d.b) > 0:
		return syntaxErrorf("%s: %d bytes too many", m.Name(), len(d.b))
	}
	return nil
}
