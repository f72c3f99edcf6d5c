package store

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

const kilobyte = 1 << 10

// TestSegmentsGo: what is drained is deleted.
func TestSegmentsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newPowerFS()
		s, x := open(t, Options{Dir: "d", SegmentBytes: 16 * kilobyte, ReserveBytes: 1, fs: disk})
		for i := range 1000 {
			if err := x.put(s, strings.Repeat("x", kilobyte), nil, Ref{1, uint64(i)}); err != nil {
				t.Fatal(err)
			}
			if i%10 == 0 {
				flush(t, s)
			}
		}
		flush(t, s)
		full := s.Stats()
		if full.Segments < 30 || full.Live != 1000 {
			t.Fatalf("filled: %+v", full)
		}
		for i := range 1000 {
			x.ack(s, Ref{1, uint64(i)})
		}
		synctest.Wait()
		flush(t, s)
		synctest.Wait()
		if st := s.Stats(); st.Segments > 2 || st.Live != 0 || st.Copied != 0 {
			t.Errorf("drained: %+v", st)
		}
	})
}

// TestOldMessage: one old message does not keep everything behind it.
func TestOldMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newPowerFS()
		o := Options{Dir: "d", SegmentBytes: 16 * kilobyte, ReserveBytes: 1, fs: disk}
		s, x := open(t, o)
		if err := x.put(s, "old", nil, Ref{1, 0}, Ref{2, 0}, Ref{3, 0}); err != nil {
			t.Fatal(err)
		}
		x.redeliver(s, Ref{2, 0})
		x.ack(s, Ref{3, 0})
		for i := range 5000 {
			ref := Ref{1, uint64(i + 1)}
			if err := x.put(s, strings.Repeat("x", kilobyte), nil, ref); err != nil {
				t.Fatal(err)
			}
			x.ack(s, ref)
			if i%10 == 0 {
				flush(t, s)
				synctest.Wait()
				if st := s.Stats(); st.Segments > 5 {
					t.Fatalf("after %d messages: %+v", i, st)
				}
			}
		}
		st := s.Stats()
		if st.Copied < 50 || st.Live != 2 {
			t.Errorf("%+v, want 2 live and many copies", st)
		}
		var m Record
		if err := s.Read(x.live[Ref{1, 0}].loc, &m); err != nil || string(m.Body) != "old" {
			t.Errorf("read where it was moved to: %q, %v", m.Body, err)
		}
		want := x.bodies()
		closeStore(t, s)
		s, x = open(t, o)
		if diff := cmp.Diff(want, x.bodies()); diff != "" {
			t.Errorf("after reopening (-want +got):\n%s", diff)
		}
		if got := s.Stats().Live; got != 2 {
			t.Errorf("%d live after reopening, want 2", got)
		}
	})
}

// TestSpaceBound: a log of random deaths takes about twice what lives in it.
func TestSpaceBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rng := newRand(1)
		s, x := open(t, Options{Dir: "d", SegmentBytes: 16 * kilobyte, ReserveBytes: 1, fs: newPowerFS()})
		const live = 100
		for i := range 5000 {
			if err := x.put(s, strings.Repeat("x", kilobyte), nil, Ref{1, uint64(i)}); err != nil {
				t.Fatal(err)
			}
			if refs := x.refs(); len(refs) > live {
				x.ack(s, refs[rng.IntN(len(refs))])
			}
			if i%10 == 0 {
				flush(t, s)
				synctest.Wait()
			}
		}
		if st := s.Stats(); st.Bytes > 2*live*1100+3*16*kilobyte+10*kilobyte || st.Copied > 2*5000 {
			t.Errorf("%d KiB for %d messages of 1 KiB; %d copies for 5000 messages", st.Bytes/kilobyte, live, st.Copied)
		}
	})
}

// ackOnLive acknowledges a message as soon as compaction has asked for it, and
// others between Live and Moved: the worst moments.
type ackOnLive struct {
	*memIndex
	s     *Store
	asked map[Ref]bool
}

func (x *ackOnLive) Live(ref Ref, loc Loc) (uint32, bool) {
	n, ok := x.memIndex.Live(ref, loc)
	if ok && ref.Queue == 1 {
		x.asked[ref] = true
		x.ack(x.s, ref)
	}
	return n, ok
}

// TestAckWhileMoving: the acknowledgement is behind the copy in the log, and
// counts where the message was.
func TestAckWhileMoving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &ackOnLive{memIndex: newIndex(), asked: map[Ref]bool{}}
		o := Options{Dir: "d", SegmentBytes: 16 * kilobyte, ReserveBytes: 1, fs: newPowerFS()}
		s, err := Open(o, x)
		if err != nil {
			t.Fatal(err)
		}
		x.s = s
		for i := range 1000 {
			refs := []Ref{{1, uint64(i)}, {2, uint64(i)}}
			if err := x.put(s, fmt.Sprint(i, strings.Repeat("x", kilobyte)), nil, refs...); err != nil {
				t.Fatal(err)
			}
			if i%8 != 0 {
				x.ack(s, refs[0])
				x.ack(s, refs[1])
			}
			if i%5 == 0 {
				flush(t, s)
				synctest.Wait()
			}
		}
		flush(t, s)
		synctest.Wait() // what was written is flushed before the index knows what has moved
		if len(x.asked) == 0 {
			t.Fatal("compaction had nothing to do")
		}
		if got, want := s.Stats().Live, int64(len(x.live)); got != want {
			t.Errorf("%d live, the index has %d", got, want)
		}
		want := x.bodies()
		closeStore(t, s)
		_, y := open(t, o)
		if diff := cmp.Diff(want, y.bodies()); diff != "" {
			t.Errorf("after reopening (-want +got):\n%s", diff)
		}
	})
}

// TestReadWhileDeleting: a segment that goes while it is read from is read to
// the end.
func TestReadWhileDeleting(t *testing.T) {
	s, x := open(t, Options{Dir: t.TempDir(), SegmentBytes: MinSegmentBytes, ReserveBytes: 1})
	if err := x.put(s, "old", nil, Ref{1, 0}); err != nil {
		t.Fatal(err)
	}
	flush(t, s)
	s.mu.Lock()
	seg := s.segs.list[0]
	seg.readers++
	size := seg.size
	s.mu.Unlock()
	loc := x.live[Ref{1, 0}].loc
	x.ack(s, Ref{1, 0})
	for i := 1; !gone(s, seg); i++ {
		if err := x.put(s, strings.Repeat("x", kilobyte), nil, Ref{1, uint64(i)}); err != nil {
			t.Fatal(err)
		}
		x.ack(s, Ref{1, uint64(i)})
		flush(t, s)
	}
	var m Record
	if err := m.read(seg, loc, size); err != nil || string(m.Body) != "old" {
		t.Errorf("read from a deleted segment: %q, %v", m.Body, err)
	}
	s.release(seg)
	if err := m.read(seg, loc, size); err == nil || !strings.Contains(err.Error(), fs.ErrClosed.Error()) {
		t.Errorf("the last reader left the file open: %v", err)
	}
	if err := s.Read(loc, &m); !errors.Is(err, ErrMoved) {
		t.Errorf("read after the segment is gone: %v", err)
	}
}

func gone(s *Store, seg *segment) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return seg.gone
}
