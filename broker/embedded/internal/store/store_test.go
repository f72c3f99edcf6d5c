package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRoundTrip(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), "a", "b")}
	s, x := open(t, o)
	stored := make(chan error, 3)
	for i := range 3 {
		if err := x.put(s, fmt.Sprint("body ", i), WaiterFunc(func(err error) { stored <- err }), Ref{1, uint64(i)}, Ref{2, uint64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if err := <-stored; err != nil {
			t.Fatal(err)
		}
	}
	x.ack(s, Ref{1, 0})
	x.redeliver(s, Ref{2, 1})
	x.redeliver(s, Ref{2, 1})
	if err := errors.Join(s.PutMeta("q.a", []byte("A"), nil), s.PutMeta("q.b", nil, nil), s.PutMeta("gone", []byte("x"), nil), s.DeleteMeta("gone", nil)); err != nil {
		t.Fatal(err)
	}
	flush(t, s)
	want := x.bodies()
	closeStore(t, s)

	s, x = open(t, o)
	if diff := cmp.Diff(want, x.bodies()); diff != "" {
		t.Errorf("live after reopening (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"q.a": "A", "q.b": ""}, x.meta); diff != "" {
		t.Errorf("journal after reopening (-want +got):\n%s", diff)
	}
	if got := s.Stats(); got.Live != 5 || got.Torn != 0 || got.Segments != 1 {
		t.Errorf("stats = %+v, want 5 live refs in 1 segment", got)
	}
	var m Record
	if err := s.Read(x.live[Ref{2, 1}].loc, &m); err != nil {
		t.Fatal(err)
	}
	m.buf = nil
	wantRec := Record{Time: 7, Exchange: "ex", Key: "some.key", Props: []byte{0x10, 0, 2}, Body: []byte("body 1")}
	if diff := cmp.Diff(wantRec, m, cmp.AllowUnexported(Record{})); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
}

// TestReadWhileWriting reads each message from the moment that it is appended:
// from the buffer, from the group on its way, from the file.
func TestReadWhileWriting(t *testing.T) {
	s, x := open(t, Options{Dir: t.TempDir(), SegmentBytes: MinSegmentBytes})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			var m Record
			for i := range 300 {
				ref, body := Ref{uint32(g), uint64(i)}, strings.Repeat("x", g*i)
				if err := x.put(s, body, nil, ref); err != nil {
					t.Error(err)
					return
				}
				for seq := uint64(max(0, i-3)); seq <= uint64(i); seq++ {
					x.mu.Lock()
					e := x.live[Ref{uint32(g), seq}]
					x.mu.Unlock()
					if err := s.Read(e.loc, &m); err != nil || string(m.Body) != e.body {
						t.Errorf("read %v: %d bytes, %v; want %d", e.loc, len(m.Body), err, len(e.body))
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestRead(t *testing.T) {
	s, x := open(t, Options{Dir: t.TempDir()})
	big := strings.Repeat("big", 1<<20)
	for i, body := range []string{"", "small", big} {
		if err := x.put(s, body, nil, Ref{1, uint64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, s)
	var m Record
	for ref, e := range x.live {
		if err := s.Read(e.loc, &m); err != nil || string(m.Body) != e.body {
			t.Errorf("read %v: %d bytes, %v; want %d", ref, len(m.Body), err, len(e.body))
		}
	}
	for _, loc := range []Loc{{1, 0}, {1, fileHeader}, {1, 40}, {1, 1 << 30}} {
		if c, ok := errors.AsType[*CorruptError](s.Read(loc, &m)); !ok || c.Segment != 1 || c.Offset != int64(loc.Offset) {
			t.Errorf("read at %v, where no message is: %v", loc, c)
		}
	}
	if err := s.Read(Loc{9, 40}, &m); !errors.Is(err, ErrMoved) {
		t.Errorf("read in a segment that is not there: %v", err)
	}
	closeStore(t, s)
	if err := s.Read(Loc{1, 60}, &m); !errors.Is(err, ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
}

func TestRefused(t *testing.T) {
	s, _ := open(t, Options{Dir: t.TempDir()})
	long := strings.Repeat("k", 256)
	for _, m := range []*Record{{Key: long}, {Exchange: long}} {
		if _, err := s.Append(m, []Ref{{1, 1}}, nil); !errors.Is(err, ErrTooBig) {
			t.Errorf("append a name of 256 bytes: %v", err)
		}
	}
	closeStore(t, s)
	if err := s.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	s.Ack(Ref{1, 1}, Loc{1, 60})
	s.AckRange(1, 1, 5, func(func(Loc) bool) {})
	s.Redelivered(Ref{1, 1}, 2)
	_, err := s.Append(&Record{}, []Ref{{1, 1}}, nil)
	for _, err := range []error{err, s.PutMeta("k", nil, nil), s.DeleteMeta("k", nil), s.Sync(t.Context()), s.Err()} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("after close: %v, want %v", err, ErrClosed)
		}
	}
}

func TestOptions(t *testing.T) {
	_, err := Open(Options{Interval: -1, SegmentBytes: 1, ReserveBytes: -1}, newIndex())
	for _, want := range []string{"no directory", "interval -1ns", "segments of 1 bytes", "reserve of -1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not have %q", err, want)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: file}, newIndex()); err == nil {
		t.Error("a file was taken for a directory")
	}
}

// TestRuns: acknowledgements in order need one entry, however they come.
func TestRuns(t *testing.T) {
	s, x := open(t, Options{Dir: t.TempDir()})
	for i := range 1000 {
		if err := x.put(s, "b", nil, Ref{1, uint64(i)}, Ref{2, uint64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, s)
	before := s.Stats().Bytes
	for i := range 900 {
		x.ack(s, Ref{1, uint64(i)})
	}
	locs := func(yield func(Loc) bool) {
		for i := range 1000 {
			if !yield(x.live[Ref{2, uint64(i)}].loc) {
				return
			}
		}
	}
	s.AckRange(2, 0, 1<<63, locs)
	flush(t, s)
	st := s.Stats()
	if st.Live != 100 {
		t.Errorf("%d live, want 100", st.Live)
	}
	if grown := st.Bytes - before; grown > 9000 {
		t.Errorf("900 acknowledgements in order and a range took %d bytes", grown)
	}
}
