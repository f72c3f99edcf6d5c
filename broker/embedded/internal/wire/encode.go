package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"
)

// maxShort is the length of the longest short string, in bytes.
const maxShort = math.MaxUint8

func bit(set bool, place int) byte {
	if set {
		return 1 << place
	}
	return 0
}

// appendShortstr cuts a string that is too long. Those from the wire never are;
// what may be are reply texts, and a routing key in a queue's arguments.
func appendShortstr(b []byte, s string) []byte {
	if len(s) > maxShort {
		s = cut(s, maxShort)
	}
	b = append(b, byte(len(s)))
	return append(b, s...)
}

// cut returns at most the first n bytes of s, less when that would part a
// character: some clients refuse to decode half of one.
func cut(s string, n int) string {
	end := n
	for end > n-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

func appendLongstr(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

// appendTable is for methods, the tables of which are ours or were parsed.
func appendTable(b []byte, t Table) []byte {
	b, err := appendSized(b, func(b []byte) ([]byte, error) { return AppendTable(b, t) })
	if err != nil {
		panic(fmt.Sprintf("a table that cannot be sent: %v", err))
	}
	return b
}

// appendSized appends what fill appends, behind its length in four bytes.
func appendSized(b []byte, fill func([]byte) ([]byte, error)) ([]byte, error) {
	start := len(b)
	b, err := fill(append(b, 0, 0, 0, 0))
	if err != nil {
		return nil, err
	}
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b, nil
}
