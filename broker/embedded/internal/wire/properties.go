package wire

import (
	"encoding/binary"
	"fmt"
	"time"
)

// Property names one property of a message, by its bit in the property flags.
type Property uint16

// The properties, in the order of the property list.
const (
	PropContentType Property = 1 << (15 - iota)
	PropContentEncoding
	PropHeaders
	PropDeliveryMode
	PropPriority
	PropCorrelationID
	PropReplyTo
	PropExpiration
	PropMessageID
	PropTimestamp
	PropType
	PropUserID
	PropAppID
	PropClusterID
)

// Delivery modes. RabbitMQ takes all but Persistent for transient.
const (
	Transient  uint8 = 1
	Persistent uint8 = 2
)

// Properties are the properties of a message. AppendRaw writes those that are
// not the zero value, and those in Present in any case.
type Properties struct {
	Present Property // the bits of those that the message has

	ContentType     string
	ContentEncoding string
	Headers         Table
	DeliveryMode    uint8
	Priority        uint8
	CorrelationID   string
	ReplyTo         string
	Expiration      string // milliseconds as decimal digits
	MessageID       string
	Timestamp       time.Time // seconds, UTC
	Type            string
	UserID          string
	AppID           string
	ClusterID       string // reserved by the specification, in use nevertheless
}

// ParseProperties parses the Raw of a ContentHeader. What it returns shares no
// memory with raw. The error is a *SyntaxError.
func ParseProperties(raw []byte) (*Properties, error) {
	if _, err := ViewProperties(raw); err != nil {
		return nil, err
	}
	d := decoder{b: raw}
	p := &Properties{Present: Property(d.short()) &^ 3}
	for bit := PropContentType; bit >= PropClusterID; bit >>= 1 {
		if p.Present&bit == 0 {
			continue
		}
		switch bit {
		case PropHeaders:
			p.Headers = (&decoder{b: d.longBytes()}).fields()
		case PropDeliveryMode:
			p.DeliveryMode = d.octet()
		case PropPriority:
			p.Priority = d.octet()
		case PropTimestamp:
			p.Timestamp = d.timestamp()
		default:
			d.shortstr(p.text(bit))
		}
	}
	return p, nil
}

// text returns the field of a property that is a short string.
func (p *Properties) text(bit Property) *string {
	switch bit {
	case PropContentType:
		return &p.ContentType
	case PropContentEncoding:
		return &p.ContentEncoding
	case PropCorrelationID:
		return &p.CorrelationID
	case PropReplyTo:
		return &p.ReplyTo
	case PropExpiration:
		return &p.Expiration
	case PropMessageID:
		return &p.MessageID
	case PropType:
		return &p.Type
	case PropUserID:
		return &p.UserID
	case PropAppID:
		return &p.AppID
	default:
		return &p.ClusterID
	}
}

// AppendRaw appends the property flags and the property list, as they are in the
// Raw of a ContentHeader. The error is one of AppendTable's, or about a string of
// more than 255 bytes.
func (p *Properties) AppendRaw(dst []byte) ([]byte, error) {
	start, flags := len(dst), Property(0)
	dst = append(dst, 0, 0)
	for bit := PropContentType; bit >= PropClusterID; bit >>= 1 {
		if p.Present&bit == 0 && p.zero(bit) {
			continue
		}
		flags |= bit
		var err error
		if dst, err = p.appendProperty(dst, bit); err != nil {
			return nil, err
		}
	}
	binary.BigEndian.PutUint16(dst[start:], uint16(flags))
	return dst, nil
}

func (p *Properties) zero(bit Property) bool {
	switch bit {
	case PropHeaders:
		return p.Headers == nil
	case PropDeliveryMode:
		return p.DeliveryMode == 0
	case PropPriority:
		return p.Priority == 0
	case PropTimestamp:
		return p.Timestamp.IsZero()
	default:
		return *p.text(bit) == ""
	}
}

func (p *Properties) appendProperty(b []byte, bit Property) ([]byte, error) {
	switch bit {
	case PropHeaders:
		return appendSized(b, func(b []byte) ([]byte, error) { return AppendTable(b, p.Headers) })
	case PropDeliveryMode:
		return append(b, p.DeliveryMode), nil
	case PropPriority:
		return append(b, p.Priority), nil
	case PropTimestamp:
		return appendTimestamp(b, p.Timestamp), nil
	default:
		s := *p.text(bit)
		if len(s) > maxShort {
			return nil, fmt.Errorf("wire: a property of %d bytes", len(s))
		}
		return appendShortstr(b, s), nil
	}
}

// PropertyView is what a broker asks of every message. Its slices are memory of
// the input.
type PropertyView struct {
	Present      Property
	DeliveryMode uint8
	Priority     uint8
	ReplyTo      []byte
	Expiration   []byte
	UserID       []byte
	Headers      []byte // the fields of the table, for FindField and ParseTable
}

// ViewProperties reads the Raw of a ContentHeader without allocating. It checks
// all of it, the headers too, so that ParseProperties cannot fail afterwards. The
// error is a *SyntaxError.
func ViewProperties(raw []byte) (PropertyView, error) {
	d := decoder{b: raw}
	v := PropertyView{Present: Property(d.short()) &^ 3}
	for bit := PropContentType; bit >= PropClusterID; bit >>= 1 {
		if v.Present&bit != 0 {
			v.take(&d, bit)
		}
	}
	switch {
	case d.err != nil:
		return PropertyView{}, d.err
	case len(d.b) > 0:
		return PropertyView{}, syntaxErrorf("properties with %d bytes too many", len(d.b))
	}
	return v, nil
}

func (v *PropertyView) take(d *decoder, bit Property) {
	switch bit {
	case PropHeaders:
		v.Headers = d.longBytes()
		if err := checkTable(v.Headers); err != nil {
			d.fail(err)
		}
	case PropDeliveryMode:
		v.DeliveryMode = d.octet()
	case PropPriority:
		v.Priority = d.octet()
	case PropTimestamp:
		d.take(8)
	case PropReplyTo:
		v.ReplyTo = d.shortBytes()
	case PropExpiration:
		v.Expiration = d.shortBytes()
	case PropUserID:
		v.UserID = d.shortBytes()
	default:
		d.shortBytes()
	}
}
