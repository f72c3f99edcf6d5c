package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

// FormatVersion is the version of the files; docs/embedded-store.md has them as
// tables.
const FormatVersion = 1

const (
	magic      = "MAGNELOG"
	fileHeader = 32
	recHeader  = 9  // crc, length of the payload, kind
	msgHeader  = 18 // time, counts and lengths
	refBytes   = 12 // queue, seq
	copyBytes  = 16 // queue, seq, delivery count
	runBytes   = 20 // queue, first seq, last seq
	markBytes  = recHeader + 12
	endBytes   = recHeader + 4

	maxName    = math.MaxUint8 // AMQP short strings
	maxRecord  = 768 << 20     // payload
	maxEntries = 4096          // acknowledgements or counts in one record
)

// Kinds of files.
const (
	kindSegment = 1
	kindMeta    = 2
)

// Kinds of records. 0 is none: zeros are not a record.
const (
	recMark    = 1 // begins a group: number of the group, bytes of the file known to be on disk
	recMessage = 2 // a message and its refs
	recCopy    = 3 // a message from an older segment, its refs with delivery counts
	recCounts  = 4 // delivery counts
	recAcks    = 5 // runs of acknowledged messages
	recEnd     = 6 // the segment is full: number of the next one
	recPut     = 7 // journal: key and value
	recDelete  = 8 // journal: key
	recLost    = 9 // Repair gave up what is here
)

var errRecord = errors.New("malformed record")

// A constant table of the hardware's checksum.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var le = binary.LittleEndian

// header is the first bytes of a file. Salt goes into the checksum of each
// record: nothing that a publisher can write, nor another file, has records that
// this one could be thought to have.
type header struct {
	kind   uint16
	number uint32 // of the segment, or of the rewrite of the journal
	salt   uint32
}

func (h header) append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, magic...)
	dst = le.AppendUint16(dst, FormatVersion)
	dst = le.AppendUint16(dst, h.kind)
	dst = le.AppendUint32(dst, h.number)
	dst = le.AppendUint32(dst, h.salt)
	dst = append(dst, make([]byte, 8)...)
	return le.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

func parseHeader(b []byte, name string) (header, error) {
	if len(b) < fileHeader {
		return header{}, errors.New("header is cut off")
	}
	if string(b[:len(magic)]) != magic {
		return header{}, errors.New("not a file of this store")
	}
	if v := int(le.Uint16(b[8:])); v != FormatVersion && crc32.Checksum(b[:fileHeader-4], castagnoli) == le.Uint32(b[28:]) {
		return header{}, &VersionError{File: name, Got: v, Want: FormatVersion}
	}
	if crc32.Checksum(b[:fileHeader-4], castagnoli) != le.Uint32(b[28:]) {
		return header{}, errors.New("checksum of the header does not match")
	}
	return header{kind: le.Uint16(b[10:]), number: le.Uint32(b[12:]), salt: le.Uint32(b[16:])}, nil
}

// beginRecord appends room for a record's header, endRecord fills it in.
func beginRecord(dst []byte, kind byte) []byte {
	return append(dst, 0, 0, 0, 0, 0, 0, 0, 0, kind)
}

func endRecord(b []byte, start int, salt uint32) {
	le.PutUint32(b[start+4:], uint32(len(b)-start-recHeader))
	le.PutUint32(b[start:], checksum(salt, b[start+4:]))
}

func checksum(salt uint32, b []byte) uint32 { return crc32.Update(salt, castagnoli, b) }

func appendMark(dst []byte, salt uint32, group uint64, synced uint32) []byte {
	start := len(dst)
	dst = beginRecord(dst, recMark)
	dst = le.AppendUint64(dst, group)
	dst = le.AppendUint32(dst, synced)
	endRecord(dst, start, salt)
	return dst
}

func appendEnd(dst []byte, salt, next uint32) []byte {
	start := len(dst)
	dst = beginRecord(dst, recEnd)
	dst = le.AppendUint32(dst, next)
	endRecord(dst, start, salt)
	return dst
}

// appendMessage appends a message, as recCopy if counts is not nil.
func appendMessage(dst []byte, salt uint32, m *Record, refs []Ref, counts []uint32) []byte {
	start := len(dst)
	kind := byte(recMessage)
	if counts != nil {
		kind = recCopy
	}
	dst = beginRecord(dst, kind)
	dst = le.AppendUint64(dst, uint64(m.Time))
	dst = le.AppendUint32(dst, uint32(len(refs)))
	dst = append(dst, byte(len(m.Exchange)), byte(len(m.Key)))
	dst = le.AppendUint32(dst, uint32(len(m.Props)))
	for i, r := range refs {
		dst = le.AppendUint32(dst, r.Queue)
		dst = le.AppendUint64(dst, r.Seq)
		if counts != nil {
			dst = le.AppendUint32(dst, counts[i])
		}
	}
	dst = append(dst, m.Exchange...)
	dst = append(dst, m.Key...)
	dst = append(dst, m.Props...)
	dst = append(dst, m.Body...)
	endRecord(dst, start, salt)
	return dst
}

// messageBytes is what appendMessage appends.
func messageBytes(m *Record, refs, refSize int) int {
	return recHeader + msgHeader + refs*refSize + len(m.Exchange) + len(m.Key) + len(m.Props) + len(m.Body)
}

// rawMessage is a message's payload, taken apart and not copied.
type rawMessage struct {
	time          int64
	refs          []byte // of copyBytes each in a copy, else of refBytes
	exchange, key []byte
	props, body   []byte
}

func refSize(kind byte) int {
	if kind == recCopy {
		return copyBytes
	}
	return refBytes
}

func parseMessage(kind byte, p []byte) (rawMessage, error) {
	if len(p) < msgHeader {
		return rawMessage{}, errRecord
	}
	each := uint64(refSize(kind))
	m := rawMessage{time: int64(le.Uint64(p))}
	ends := [4]uint64{msgHeader + uint64(le.Uint32(p[8:]))*each}
	ends[1] = ends[0] + uint64(p[12])
	ends[2] = ends[1] + uint64(p[13])
	ends[3] = ends[2] + uint64(le.Uint32(p[14:]))
	if ends[3] > uint64(len(p)) {
		return rawMessage{}, errRecord
	}
	m.refs = p[msgHeader:ends[0]]
	m.exchange, m.key = p[ends[0]:ends[1]], p[ends[1]:ends[2]]
	m.props, m.body = p[ends[2]:ends[3]:ends[3]], p[ends[3]:len(p):len(p)]
	return m, nil
}

func parseRef(p []byte) Ref { return Ref{Queue: le.Uint32(p), Seq: le.Uint64(p[4:])} }

// run is acknowledged messages of a queue that follow each other.
type run struct {
	queue       uint32
	first, last uint64
}

func appendRuns(dst []byte, salt uint32, runs []run) []byte {
	for len(runs) > 0 {
		n := min(len(runs), maxEntries)
		start := len(dst)
		dst = beginRecord(dst, recAcks)
		for _, r := range runs[:n] {
			dst = le.AppendUint32(dst, r.queue)
			dst = le.AppendUint64(dst, r.first)
			dst = le.AppendUint64(dst, r.last)
		}
		endRecord(dst, start, salt)
		runs = runs[n:]
	}
	return dst
}

// count is a delivery count.
type count struct {
	ref Ref
	n   uint32
}

func appendCounts(dst []byte, salt uint32, counts []count) []byte {
	for len(counts) > 0 {
		n := min(len(counts), maxEntries)
		start := len(dst)
		dst = beginRecord(dst, recCounts)
		for _, c := range counts[:n] {
			dst = le.AppendUint32(dst, c.ref.Queue)
			dst = le.AppendUint64(dst, c.ref.Seq)
			dst = le.AppendUint32(dst, c.n)
		}
		endRecord(dst, start, salt)
		counts = counts[n:]
	}
	return dst
}

func appendPut(dst []byte, salt uint32, key string, value []byte) []byte {
	start := len(dst)
	dst = beginRecord(dst, recPut)
	dst = le.AppendUint32(dst, uint32(len(key)))
	dst = append(dst, key...)
	dst = append(dst, value...)
	endRecord(dst, start, salt)
	return dst
}

func appendDelete(dst []byte, salt uint32, key string) []byte {
	start := len(dst)
	dst = append(beginRecord(dst, recDelete), key...)
	endRecord(dst, start, salt)
	return dst
}

// checkPayload reports whether a payload with a good checksum is one of its
// kind. It is not, only if a program with an error wrote it.
func checkPayload(kind byte, p []byte) error {
	ok := true
	switch kind {
	case recMark:
		ok = len(p) == markBytes-recHeader
	case recMessage, recCopy:
		_, err := parseMessage(kind, p)
		ok = err == nil
	case recCounts:
		ok = len(p)%copyBytes == 0
	case recAcks:
		ok = len(p)%runBytes == 0
	case recEnd:
		ok = len(p) == endBytes-recHeader
	case recPut:
		ok = len(p) >= 4 && uint64(le.Uint32(p)) <= uint64(len(p)-4)
	case recDelete, recLost:
	default:
		return fmt.Errorf("record of unknown kind %d", kind)
	}
	if !ok {
		return errRecord
	}
	return nil
}
