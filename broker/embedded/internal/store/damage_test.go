package store

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fill makes a store of a few small segments, with every kind of record. Each
// step is a group of its own. It returns what is live after each step and how
// large the newest segment was then.
func fill(t *testing.T, dir string) (states []map[Ref]string, sizes []int64, newest string) {
	t.Helper()
	s, x := open(t, Options{Dir: dir, SegmentBytes: MinSegmentBytes})
	for i := range 60 {
		ref := Ref{1, uint64(i)}
		switch {
		case i == 7:
			x.redeliver(s, x.refs()[0])
		case i%10 == 9:
			x.ack(s, slices.MaxFunc(x.refs(), func(a, b Ref) int { return int(a.Seq) - int(b.Seq) }))
		default:
			if err := x.put(s, strings.Repeat(fmt.Sprint(i, " "), i), nil, ref, Ref{2, uint64(i)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.PutMeta(fmt.Sprint("key", i%7), []byte{byte(i)}, nil); err != nil {
			t.Fatal(err)
		}
		flush(t, s)
		s.mu.Lock()
		last := s.segs.list[len(s.segs.list)-1]
		if last.file == nil { // the next, not yet made
			last = s.segs.list[len(s.segs.list)-2]
		}
		name, size := segmentName(last.number), last.size
		s.mu.Unlock()
		if name != newest {
			states, sizes, newest = nil, nil, name
		}
		states, sizes = append(states, x.bodies()), append(sizes, size)
	}
	if err := os.CopyFS(dir+".unclean", os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	return states, sizes, newest
}

// files is what is in a directory. All of them are loaded into memory, so that
// they can be damaged and opened thousands of times.
type files map[string][]byte

func load(t *testing.T, dir string) files {
	t.Helper()
	names, err := osFS{}.list(dir)
	if err != nil {
		t.Fatal(err)
	}
	fs := files{}
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if name != lockName && name != reserveName {
			fs[name] = b
		}
	}
	return fs
}

// disk returns a disk with the files in the directory d, one of them changed.
func (fs files) disk(name string, content []byte) *powerFS {
	disk := newPowerFS()
	for n, b := range fs {
		if n == name {
			b = content
		}
		disk.names[filepath.Join("d", n)] = &inode{data: bytes.Clone(b)}
	}
	return disk
}

// reopen opens the files with one of them changed.
func (fs files) reopen(t *testing.T, name string, content []byte) (*memIndex, Stats, error) {
	t.Helper()
	x := newIndex()
	s, err := Open(Options{Dir: "d", SegmentBytes: MinSegmentBytes, ReserveBytes: 1, fs: fs.disk(name, content)}, x)
	if err != nil {
		return nil, Stats{}, err
	}
	st := s.Stats()
	closeStore(t, s)
	return x, st, nil
}

// TestTornTail cuts the newest segment at every byte: what is back is what was
// there after a whole number of groups.
func TestTornTail(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	states, sizes, newest := fill(t, dir)
	unclean := load(t, dir+".unclean")
	whole := unclean[newest]
	if int64(len(whole)) != sizes[len(sizes)-1] || len(states) < 3 {
		t.Fatalf("newest segment has %d bytes, want %d; %d groups in it", len(whole), sizes[len(sizes)-1], len(states))
	}
	for size := len(whole); int64(size) >= sizes[0]; size-- {
		x, st, err := unclean.reopen(t, newest, whole[:size])
		if err != nil {
			t.Fatalf("cut to %d: %v", size, err)
		}
		i, exact := slices.BinarySearch(sizes, int64(size))
		if !exact {
			i--
		}
		if diff := cmp.Diff(states[i], x.bodies()); diff != "" {
			t.Fatalf("cut to %d of %v (-want +got):\n%s", size, sizes, diff)
		}
		if torn := int64(size) - sizes[i]; st.Torn != torn && st.Torn != torn-markBytes {
			t.Fatalf("cut to %d of %v: %d bytes were torn", size, sizes, st.Torn)
		}
	}
}

// TestTornJournal: the same for the journal.
func TestTornJournal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	s, _ := open(t, Options{Dir: dir})
	var sizes []int
	for i := range 10 {
		if err := s.PutMeta("key", []byte{byte(i)}, nil); err != nil {
			t.Fatal(err)
		}
		flush(t, s)
		b, _ := os.ReadFile(filepath.Join(dir, journalName))
		sizes = append(sizes, len(b))
	}
	unclean := load(t, dir)
	whole := unclean[journalName]
	for size := len(whole); size >= sizes[0]; size-- {
		x, _, err := unclean.reopen(t, journalName, whole[:size])
		if err != nil {
			t.Fatalf("cut to %d: %v", size, err)
		}
		i, exact := slices.BinarySearch(sizes, size)
		if !exact {
			i--
		}
		if got := x.meta["key"]; got != string([]byte{byte(i)}) {
			t.Fatalf("cut to %d of %v: key is %q, want %d", size, sizes, got, i)
		}
	}
}

// TestTornIsLogged: what is cut off is said, with file, offset and bytes.
func TestTornIsLogged(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	_, sizes, newest := fill(t, dir)
	path := filepath.Join(dir+".unclean", newest)
	if err := os.Truncate(path, sizes[len(sizes)-1]-1); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	s, _ := open(t, Options{Dir: dir + ".unclean", SegmentBytes: MinSegmentBytes, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	closeStore(t, s)
	for _, want := range []string{"level=WARN", "file=" + newest, "offset=", "bytes=", "cut off"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log does not have %q: %s", want, &log)
		}
	}
}

// records returns where the records of a file begin.
func records(b []byte) []int {
	var starts []int
	for off := fileHeader; off < len(b); off += recHeader + int(le.Uint32(b[off+4:])) {
		starts = append(starts, off)
	}
	return starts
}

// TestBitFlips flips each bit of a cleanly closed store, one at a time. Either
// Open names the record, or it cuts off the mark of the clean end and nothing
// else. Fsck always finds it, and after Repair it opens.
func TestBitFlips(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	fill(t, dir)
	_, clean := open(t, Options{Dir: dir, SegmentBytes: MinSegmentBytes})
	fs := load(t, dir)
	every := rounds("MAGNE_STORE_FLIP_EVERY", 211)
	for name, b := range fs {
		for bit := 0; bit < 8*len(b); bit += every {
			flip(t, fs, name, bit, clean)
		}
		// All of the end, where torn and damaged are told apart.
		for bit := 8 * (len(b) - 2*markBytes); bit < 8*len(b); bit++ {
			flip(t, fs, name, bit, clean)
		}
	}
}

func flip(t *testing.T, fs files, name string, bit int, clean *memIndex) {
	t.Helper()
	whole := fs[name]
	b := bytes.Clone(whole)
	b[bit/8] ^= 1 << (bit % 8)
	starts := records(whole)
	start := 0
	if i, ok := slices.BinarySearch(starts, bit/8); ok {
		start = starts[i]
	} else if i > 0 {
		start = starts[i-1]
	}
	x, st, err := fs.reopen(t, name, b)
	if err == nil {
		if start != starts[len(starts)-1] || st.Torn != markBytes {
			t.Fatalf("%s, bit %d: opened, %d bytes torn", name, bit, st.Torn)
		}
		if diff := cmp.Diff(clean.bodies(), x.bodies()); diff != "" {
			t.Fatalf("%s, bit %d: opened (-want +got):\n%s", name, bit, diff)
		}
	} else if bad, ok := errors.AsType[*CorruptError](err); !ok || bad.File != name || bad.Offset != int64(start) {
		t.Fatalf("%s, bit %d (byte %d, in the record at %d): %v", name, bit, bit/8, start, err)
	}
	checkRepair(t, fs.disk(name, b), name, start)
}

// checkRepair looks at what Fsck and Repair make of a damaged record.
func checkRepair(t *testing.T, disk *powerFS, name string, start int) {
	t.Helper()
	report, err := check(&checker{fs: disk, dir: "d"}, disk.lock)
	found := append(report.Problems, report.Torn...)
	if err != nil || len(found) == 0 || found[0].File != name || found[0].Offset != int64(start) {
		t.Fatalf("fsck of damage at %d in %s: %+v, %v", start, name, report, err)
	}
	if _, err := check(&checker{fs: disk, dir: "d", fix: true}, disk.lock); err != nil {
		t.Fatalf("repair of damage at %d in %s: %v", start, name, err)
	}
	if report, err := check(&checker{fs: disk, dir: "d"}, disk.lock); err != nil || len(report.Problems) > 0 {
		t.Fatalf("fsck after repair of damage at %d in %s: %+v, %v", start, name, report, err)
	}
	x := newIndex()
	s, err := Open(Options{Dir: "d", SegmentBytes: MinSegmentBytes, ReserveBytes: 1, fs: disk}, x)
	if err != nil {
		t.Fatalf("open after repair of damage at %d in %s: %v", start, name, err)
	}
	closeStore(t, s)
	if len(x.live) == 0 {
		t.Errorf("repair of damage at %d in %s lost everything", start, name)
	}
}
