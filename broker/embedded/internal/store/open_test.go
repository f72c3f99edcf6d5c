package store

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestLock: a second store in the same directory is refused, from this process
// and from another one, until the first is closed.
func TestLock(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, Options{Dir: dir})
	want := fmt.Sprintf("store: %s is in use by process %d", dir, os.Getpid())
	_, err := Open(Options{Dir: dir}, newIndex())
	if locked, ok := errors.AsType[*LockedError](err); !ok || locked.PID != os.Getpid() || err.Error() != want {
		t.Errorf("second open: %v, want %s", err, want)
	}
	for name, f := range map[string]func(string) (Report, error){"fsck": Fsck, "repair": Repair} {
		if _, err := f(dir); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKillChild$")
	cmd.Env = append(os.Environ(), childDir+"="+dir, childBase+"=1")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), want) {
		t.Errorf("another process: %v, %s; want %s", err, out, want)
	}
	closeStore(t, s)
	s, _ = open(t, Options{Dir: dir})
	closeStore(t, s)
}

// TestMissingFiles: a file that is not there is damage, unless it is the oldest.
func TestMissingFiles(t *testing.T) {
	for _, name := range []string{segmentName(2), journalName} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "d")
			fill(t, dir)
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			_, err := Open(Options{Dir: dir}, newIndex())
			if bad, ok := errors.AsType[*CorruptError](err); !ok || bad.File != name || bad.Reason != "file is missing" {
				t.Errorf("open: %v", err)
			}
			report, err := Repair(dir)
			if err != nil || len(report.Problems) != 1 || report.Problems[0].File != name {
				t.Errorf("repair: %+v, %v", report, err)
			}
			_, x := open(t, Options{Dir: dir})
			if len(x.live) == 0 {
				t.Error("nothing is left")
			}
		})
	}
}

// TestBadHeaders: what is no file of this store is said to be none, and kept.
func TestBadHeaders(t *testing.T) {
	for name, damage := range map[string]func(b []byte) []byte{
		"not a file of this store":              func(b []byte) []byte { return append([]byte("PK"), b[2:]...) },
		"header is cut off":                     func(b []byte) []byte { return b[:20] },
		"checksum of the header does not match": func(b []byte) []byte { b[13] ^= 1; return b },
		"header is that of another file, 1.7":   func([]byte) []byte { return header{kindSegment, 7, 1}.append(nil) },
		"header is that of another file, 2.1":   func([]byte) []byte { return header{kindMeta, 1, 1}.append(nil) },
		"segment is cut off: it has no end":     func(b []byte) []byte { return b[:fileHeader] },
		"segment goes on behind its end":        func(b []byte) []byte { return appendMark(b, le.Uint32(b[16:]), 9, 32) },
		"record is cut off":                     func(b []byte) []byte { return append(b[:len(b)-endBytes], 1, 2, 3) },
		"record of kind 7 does not belong here": func(b []byte) []byte { return appendPut(b[:fileHeader], le.Uint32(b[16:]), "k", nil) },
		"record of unknown kind 77":             func(b []byte) []byte { return unknownRecord(b) },
		"malformed record":                      func(b []byte) []byte { return malformedRecord(b) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "d")
			fill(t, dir)
			path := filepath.Join(dir, segmentName(2))
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err = Open(Options{Dir: dir}, newIndex())
			if bad, ok := errors.AsType[*CorruptError](err); !ok || bad.Segment != 2 || bad.Reason != name {
				t.Errorf("open: %v", err)
			}
			if report, err := Fsck(dir); err != nil || len(report.Problems) == 0 || !strings.Contains(report.Problems[0].String(), name) {
				t.Errorf("fsck: %+v, %v", report, err)
			}
		})
	}
}

func unknownRecord(b []byte) []byte {
	start := len(b) - endBytes
	b = append(beginRecord(b[:start], 77), "what is this"...)
	endRecord(b, start, le.Uint32(b[16:]))
	return b
}

func malformedRecord(b []byte) []byte {
	start := len(b) - endBytes
	b = append(beginRecord(b[:start], recMessage), 1, 2, 3)
	endRecord(b, start, le.Uint32(b[16:]))
	return b
}

// TestVersion: another version is not damage, and Repair does not touch it.
func TestVersion(t *testing.T) {
	for _, name := range []string{segmentName(2), journalName} {
		dir := filepath.Join(t.TempDir(), "d")
		fill(t, dir)
		path := filepath.Join(dir, name)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		le.PutUint16(b[8:], FormatVersion+1)
		le.PutUint32(b[28:], checksum(0, b[:28]))
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, openErr := Open(Options{Dir: dir}, newIndex())
		_, fsckErr := Fsck(dir)
		_, repairErr := Repair(dir)
		want := fmt.Sprintf("store: %s has format version 2, this program reads 1", name)
		for _, err := range []error{openErr, fsckErr, repairErr} {
			if _, ok := errors.AsType[*VersionError](err); !ok || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		}
	}
}

// TestFsck counts what is there, and changes nothing.
func TestFsck(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	fill(t, dir)
	before := fmt.Sprint(load(t, dir))
	_, x := open(t, Options{Dir: dir + ".unclean", SegmentBytes: MinSegmentBytes})
	report, err := Fsck(dir)
	if err != nil {
		t.Fatal(err)
	}
	if report.Live != len(x.live) || report.Keys != len(x.meta) || report.Messages == 0 || report.Segments < 3 ||
		report.Files != report.Segments+1 || len(report.Problems)+len(report.Torn) > 0 {
		t.Errorf("%+v, want %d live and %d keys", report, len(x.live), len(x.meta))
	}
	if after := fmt.Sprint(load(t, dir)); after != before {
		t.Error("fsck has changed something")
	}
	if _, err := Fsck(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("fsck of nothing: %v", err)
	}
}

// TestIndexErrors: what the index cannot take ends Open.
func TestIndexErrors(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	s, _ := open(t, Options{Dir: dir})
	if err := s.PutMeta("key", nil, nil); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	boom := errors.New("boom")
	if _, err := Open(Options{Dir: dir}, badIndex{newIndex(), boom}); !errors.Is(err, boom) || !strings.Contains(err.Error(), `"key"`) {
		t.Errorf("open: %v", err)
	}
	x := newIndex()
	x.live[Ref{1, 1}] = entry{loc: Loc{99, 99}}
	if _, err := Open(Options{Dir: dir}, x); err == nil || !strings.Contains(err.Error(), "99:99") {
		t.Errorf("open with an index that has a message nowhere: %v", err)
	}
}

type badIndex struct {
	*memIndex
	err error
}

func (x badIndex) Meta(string, []byte) error { return x.err }

// TestInterval: confirmed at once, on disk within the interval, and Sync does
// not wait for it.
func TestInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newPowerFS()
		s, x := open(t, Options{Dir: "d", Interval: time.Minute, ReserveBytes: 1, fs: disk})
		put := func(seq uint64) {
			stored := make(chan error, 1)
			if err := x.put(s, "body", WaiterFunc(func(err error) { stored <- err }), Ref{1, seq}); err != nil {
				t.Fatal(err)
			}
			if err := <-stored; err != nil {
				t.Fatal(err)
			}
		}
		start, base := time.Now(), s.Stats().Syncs
		put(1)
		put(2)
		if d := time.Since(start); d > 0 || s.Stats().Syncs != base || s.Stats().Groups != 2 {
			t.Errorf("after %v: %+v, want 2 groups and no fsync", d, s.Stats())
		}
		<-time.After(time.Minute)
		synctest.Wait()
		if got := s.Stats().Syncs; got != base+1 {
			t.Errorf("%d fsyncs after the interval, want 1", got-base)
		}
		start = time.Now()
		put(3)
		flush(t, s)
		if d := time.Since(start); d > 0 || s.Stats().Syncs != base+2 {
			t.Errorf("sync took %v, %d fsyncs, want 2", d, s.Stats().Syncs-base)
		}
	})
}

// TestAckDelay: acknowledgements wait for company, but not for long.
func TestAckDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, x := open(t, Options{Dir: "d", ReserveBytes: 1, fs: newPowerFS()})
		for i := range 10 {
			if err := x.put(s, "body", nil, Ref{1, uint64(i)}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		base := s.Stats().Groups
		for i := range 10 {
			x.ack(s, Ref{1, uint64(i)})
		}
		synctest.Wait()
		if got := s.Stats().Groups; got != base {
			t.Errorf("%d groups before the delay", got-base)
		}
		<-time.After(AckDelay)
		synctest.Wait()
		if got := s.Stats().Groups; got != base+1 {
			t.Errorf("%d groups after the delay, want 1", got-base)
		}
	})
}
