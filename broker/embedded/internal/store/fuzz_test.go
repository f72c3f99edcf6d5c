package store

import (
	"bytes"
	"path/filepath"
	"testing"
)

// FuzzRecord: whatever bytes are there, a record is taken apart without a panic,
// and one that is accepted is encoded to the same bytes again.
func FuzzRecord(f *testing.F) {
	m := Record{Time: 5, Exchange: "ex", Key: "key", Props: []byte{1, 2}, Body: []byte("body")}
	f.Add(appendMessage(nil, 1, &m, []Ref{{1, 2}, {3, 4}}, nil), uint32(1))
	f.Add(appendMessage(nil, 1, &m, []Ref{{1, 2}}, []uint32{9}), uint32(1))
	f.Add(appendMark(nil, 2, 3, 4), uint32(2))
	f.Add(appendEnd(nil, 2, 3), uint32(2))
	f.Add(appendRuns(nil, 1, []run{{1, 2, 3}}), uint32(1))
	f.Add(appendCounts(nil, 1, []count{{Ref{1, 2}, 3}}), uint32(1))
	f.Add(appendPut(nil, 1, "key", []byte("value")), uint32(1))
	f.Add(appendDelete(nil, 1, "key"), uint32(1))
	f.Fuzz(func(t *testing.T, b []byte, salt uint32) {
		fixed := bytes.Clone(b)
		if len(fixed) >= recHeader { // so that more than the checksum is tested
			endRecord(fixed, 0, salt)
		}
		for _, b := range [][]byte{b, fixed} {
			kind, p, err := checkRecord(b, salt)
			if err != nil || kind != recMessage && kind != recCopy {
				continue
			}
			raw, err := parseMessage(kind, p)
			if err != nil {
				t.Fatalf("accepted, then: %v", err)
			}
			again := Record{Time: raw.time, Exchange: string(raw.exchange), Key: string(raw.key), Props: raw.props, Body: raw.body}
			var refs []Ref
			var counts []uint32
			if kind == recCopy {
				counts = []uint32{}
			}
			for r := raw.refs; len(r) > 0; r = r[refSize(kind):] {
				refs = append(refs, parseRef(r))
				if kind == recCopy {
					counts = append(counts, le.Uint32(r[refBytes:]))
				}
			}
			if got := appendMessage(nil, salt, &again, refs, counts); !bytes.Equal(got, b[:recHeader+len(p)]) {
				t.Errorf("encoded again:\n%x, was\n%x", got, b)
			}
		}
	})
}

// FuzzOpen: whatever is in the files, Open returns an error or opens, and then
// so does the next one. Fsck does not panic, and Repair makes it open.
func FuzzOpen(f *testing.F) {
	salted := header{kind: kindSegment, number: 1, salt: 1}.append(nil)
	m := Record{Key: "key", Body: []byte("body")}
	good := appendMessage(appendMark(nil, 1, 1, fileHeader), 1, &m, []Ref{{1, 1}}, nil)
	good = appendMark(appendRuns(good, 1, []run{{1, 1, 1}}), 1, 2, uint32(fileHeader+len(good)))
	f.Add(good, []byte{}, true)
	f.Add(good[:len(good)-3], appendPut(nil, 1, "key", nil), false)
	f.Add(append(good, good...), appendDelete(nil, 1, "key"), true)
	f.Add(appendEnd(good, 1, 2), []byte{0}, true)
	f.Fuzz(func(t *testing.T, segment, journal []byte, sealed bool) {
		if sealed { // so that more than the checksums is tested
			segment, journal = seal(segment), seal(journal)
		}
		disk := files{
			segmentName(1): append(bytes.Clone(salted), segment...),
			journalName:    append(header{kind: kindMeta, number: 1, salt: 1}.append(nil), journal...),
		}.disk("", nil)
		if opens(disk) != nil {
			if _, err := check(&checker{fs: disk, dir: "d", fix: true}, disk.lock); err != nil {
				t.Fatalf("repair: %v", err)
			}
			if err := opens(disk); err != nil {
				t.Fatalf("after repair: %v", err)
			}
		}
		if err := opens(disk); err != nil {
			t.Fatalf("opened once, then: %v", err)
		}
		if report, err := check(&checker{fs: disk, dir: "d"}, disk.lock); err != nil || len(report.Problems) > 0 {
			t.Fatalf("opened, then fsck: %+v, %v", report, err)
		}
	})
}

// seal gives bytes that could be records good checksums.
func seal(b []byte) []byte {
	b = bytes.Clone(b)
	for off := 0; off+recHeader <= len(b); {
		n := int64(le.Uint32(b[off+4:]))
		if n > int64(len(b)-off-recHeader) {
			break
		}
		end := off + recHeader + int(n)
		endRecord(b[:end], off, 1)
		off = end
	}
	return b
}

func opens(disk *powerFS) error {
	s, err := Open(Options{Dir: filepath.Clean("d"), ReserveBytes: 1, fs: disk}, newIndex())
	if err != nil {
		return err
	}
	return s.Close()
}
