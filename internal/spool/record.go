package spool

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/dlq"
)

// magic begins each segment. The last byte is the version of the format. Eight
// random bytes follow, which the checksums of the segment begin with: so no body
// can contain what would be taken for a record of it.
const (
	magic       = "MGSPOOL1"
	segmentHead = len(magic) + 8
)

// A record is its length (4 bytes, of the payload), its checksum (4 bytes, of
// the head of its segment and of the rest), its kind (1 byte) and the payload. Numbers are big-endian.
const (
	recordHead = 4 + 4 + 1

	kindPut  = 'P' // payload: time, length of the properties, properties, body
	kindDone = 'D' // payload: where in this segment the message begins that is done
)

// maxPayload bounds what is believed about a length: a body of RabbitMQ's limit
// of 128 MiB, and its properties.
const maxPayload = 129 << 20

// seed is what the checksums of a segment begin with.
type seed uint32

func seedOf(head []byte) seed { return seed(crc32.Checksum(head, castagnoli())) }

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

func (s seed) sum(b []byte) uint32 { return crc32.Update(uint32(s), castagnoli(), b) }

// appendRecord appends a record with what payload appends.
func (s seed) appendRecord(b []byte, kind byte, payload func([]byte) []byte) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0, kind)
	b = payload(b)
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-recordHead))
	binary.BigEndian.PutUint32(b[start+4:], s.sum(b[start+8:]))
	return b
}

// encode is a message as the payload of a record. Its headers keep their types.
func encode(p *broker.Publication, now time.Time) ([]byte, error) {
	properties, err := dlq.Encode(&broker.Delivery{Properties: p.Properties, Exchange: p.Exchange, RoutingKey: p.RoutingKey})
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, 8+4+len(properties)+len(p.Body))
	b = binary.BigEndian.AppendUint64(b, uint64(now.UnixNano()))
	b = binary.BigEndian.AppendUint32(b, uint32(len(properties)))
	return append(append(b, properties...), p.Body...), nil
}

// decode reads what encode has written; the body is a part of b.
func decode(b []byte) (*broker.Publication, time.Time, error) {
	if len(b) < 8+4 {
		return nil, time.Time{}, errShort
	}
	at := time.Unix(0, int64(binary.BigEndian.Uint64(b)))
	n, rest := binary.BigEndian.Uint32(b[8:]), b[12:]
	if int64(n) > int64(len(rest)) {
		return nil, at, errShort
	}
	d, err := dlq.Decode(rest[:n])
	if err != nil {
		return nil, at, err
	}
	return &broker.Publication{Properties: d.Properties, Exchange: d.Exchange, RoutingKey: d.RoutingKey, Body: rest[n:]}, at, nil
}

// putAt is the time in the payload of a message.
func putAt(payload []byte) time.Time {
	return time.Unix(0, int64(binary.BigEndian.Uint64(payload)))
}

var (
	errShort = errors.New("record too short")
	// errTorn: the file ends within the record.
	errTorn = errors.New("record cut short")
	errSum  = errors.New("not a record: the checksum does not match")
)

// parse reads the record at the start of b; size is where the next one begins.
func (s seed) parse(b []byte) (kind byte, payload []byte, size int, err error) {
	if len(b) < recordHead {
		return 0, nil, 0, errTorn
	}
	n := binary.BigEndian.Uint32(b)
	if n == 0 || n > maxPayload || b[8] != kindPut && b[8] != kindDone {
		return 0, nil, 0, errSum
	}
	if int64(n) > int64(len(b)-recordHead) {
		return 0, nil, 0, errTorn
	}
	size = recordHead + int(n)
	if s.sum(b[8:size]) != binary.BigEndian.Uint32(b[4:]) {
		return 0, nil, 0, errSum
	}
	return b[8], b[recordHead:size], size, nil
}

// found is a message in a segment.
type found struct {
	at, size int64 // of the record
	put      time.Time
	done     bool
}

// survey is what a segment holds.
type survey struct {
	puts    []found
	end     int64 // where the next record goes
	damaged int64 // bytes that cannot be read, without those of a record cut short at the end
}

// open is how many messages are not done.
func (s *survey) open() int {
	n := 0
	for i := range s.puts {
		if !s.puts[i].done {
			n++
		}
	}
	return n
}

// read goes through the text of a segment. After what is no record it looks for
// the next one.
func read(text []byte) survey {
	var s survey
	if len(text) < segmentHead { // its owner has died before it put anything
		return s
	}
	if string(text[:len(magic)]) != magic {
		s.damaged = int64(len(text))
		return s
	}
	sum := seedOf(text[:segmentHead])
	numbers := map[int64]int{} // by place
	at := segmentHead
	for at < len(text) {
		kind, payload, size, err := sum.parse(text[at:])
		if err == nil {
			s.take(kind, payload, int64(at), int64(size), numbers)
			at += size
			continue
		}
		gap := sum.search(text[at:])
		if gap == 0 {
			if !errors.Is(err, errTorn) {
				s.damaged += int64(len(text) - at)
			}
			break
		}
		s.damaged += int64(gap)
		at += gap
	}
	s.end = int64(at)
	return s
}

// search returns where in b the next record begins, 0 if there is none.
func (s seed) search(b []byte) int {
	for i := 1; i < len(b); i++ {
		if _, _, _, err := s.parse(b[i:]); err == nil {
			return i
		}
	}
	return 0
}

func (s *survey) take(kind byte, payload []byte, at, size int64, numbers map[int64]int) {
	switch {
	case kind == kindPut && len(payload) >= 8:
		numbers[at] = len(s.puts)
		s.puts = append(s.puts, found{at: at, size: size, put: putAt(payload)})
	case kind == kindDone && len(payload) == 8:
		if n, ok := numbers[int64(binary.BigEndian.Uint64(payload))]; ok {
			s.puts[n].done = true
		}
	default:
		s.damaged += size
	}
}
