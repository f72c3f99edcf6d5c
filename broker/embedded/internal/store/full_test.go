package store

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// changes collects what Options.OnChange is told.
func changes(o *Options) chan error {
	c := make(chan error, 100)
	o.OnChange = func(err error) { c <- err }
	return c
}

// fillDisk appends until the store refuses, and returns what was confirmed.
func fillDisk(t *testing.T, s *Store, x *memIndex) map[Ref]bool {
	t.Helper()
	confirmed := map[Ref]bool{}
	for i := range 1 << 20 {
		ref := Ref{1, uint64(i)}
		stored := make(chan error, 1)
		err := x.put(s, strings.Repeat("x", 500), WaiterFunc(func(err error) { stored <- err }), ref)
		if errors.Is(err, ErrFull) {
			return confirmed
		}
		if err != nil {
			t.Fatal(err)
		}
		switch err := <-stored; {
		case err == nil:
			confirmed[ref] = true
		case errors.Is(err, ErrFull):
			x.ack(s, ref)
		default:
			t.Fatal(err)
		}
	}
	t.Fatal("the disk did not fill up")
	return nil
}

// fullDisk does what a broker does with a full disk, on any that has room for a
// few hundred messages: fills it, drains it, uses it again, opens it again.
func fullDisk(t *testing.T, o Options) {
	t.Helper()
	told := changes(&o)
	s, x := open(t, o)
	confirmed := fillDisk(t, s, x)
	if err := <-told; !errors.Is(err, ErrFull) || !s.Full() || !s.Stats().Full {
		t.Errorf("told %v, full: %v", err, s.Full())
	}
	if len(confirmed) < 50 {
		t.Fatalf("only %d messages fit", len(confirmed))
	}
	if err := s.PutMeta("key", nil, nil); !errors.Is(err, ErrFull) {
		t.Errorf("put on a full disk: %v", err)
	}
	// The newest half first, so that no segment gets free, and no run goes on.
	for i := len(confirmed) - 1; i > len(confirmed)/2; i -= 2 {
		x.ack(s, Ref{1, uint64(i)})
	}
	flush(t, s)
	if !s.Full() {
		t.Error("not full any more, and nothing was deleted")
	}
	for ref := range confirmed {
		x.ack(s, ref)
	}
	flush(t, s)
	if err := <-told; err != nil || s.Full() {
		t.Errorf("drained, told %v, full: %v", err, s.Full())
	}
	stored := make(chan error, 1)
	if err := x.put(s, "again", WaiterFunc(func(err error) { stored <- err }), Ref{1, 1 << 20}); err != nil {
		t.Fatal(err)
	}
	if err := <-stored; err != nil {
		t.Fatal(err)
	}
	want := x.bodies()
	closeStore(t, s)
	_, x = open(t, o)
	if diff := cmp.Diff(want, x.bodies()); diff != "" {
		t.Errorf("after reopening (-want +got):\n%s", diff)
	}
}

func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newPowerFS()
		disk.limit = 100 << 10
		fullDisk(t, Options{Dir: "d", SegmentBytes: 8 << 10, ReserveBytes: 16 << 10, fs: disk})
	})
}

// TestFullSmallDisk: the disk is smaller than a segment, which is closed early.
func TestFullSmallDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newPowerFS()
		disk.limit = 100 << 10
		fullDisk(t, Options{Dir: "d", SegmentBytes: 1 << 20, ReserveBytes: 16 << 10, fs: disk})
	})
}

// TestFullAndPowerLoss: what was confirmed before the disk was full, and what was
// acknowledged afterwards, outlives the power.
func TestFullAndPowerLoss(t *testing.T) {
	for seed := range rounds("MAGNE_STORE_POWER", 8) {
		disk := newPowerFS()
		disk.limit = 40 << 10
		l := newLedger()
		s, x := open(t, Options{Dir: "d", SegmentBytes: 8 << 10, ReserveBytes: 4 << 10, fs: disk})
		d := &driver{s: s, x: x, l: l, rng: newRand(seed)}
		var promised *ledger
		var after *powerFS
		rng := newRand(seed + 1000)
		at := rng.IntN(200)
		disk.mu.Lock()
		disk.onOp = func(Op) {
			s.mu.Lock()
			full := s.full
			s.mu.Unlock()
			if !full {
				return
			}
			if at--; at == 0 {
				promised, after = l.clone(), disk.afterLoss(rng)
			}
		}
		disk.mu.Unlock()
		lost := func() bool {
			disk.mu.Lock()
			defer disk.mu.Unlock()
			return after != nil
		}
		for !lost() && d.seq < 10_000 {
			d.step()
			d.sync()
		}
		if promised == nil {
			t.Fatal("the disk did not fill up")
		}
		_, x = open(t, Options{Dir: "d", SegmentBytes: 8 << 10, ReserveBytes: 1, fs: after})
		if err := promised.check(x); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

// TestNothingFits: not even the reserve helps. The group is refused, the
// acknowledgements wait until there is room.
func TestNothingFits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		disk := newPowerFS()
		o := Options{Dir: "d", fs: disk, Fault: func(op Op, _ string) error {
			if full.Load() && (op == OpWrite || op == OpAllocate || op == OpCreate) {
				return syscall.ENOSPC
			}
			return nil
		}}
		told := changes(&o)
		s, x := open(t, o)
		refused := make(chan error, 10)
		w := WaiterFunc(func(err error) { refused <- err })
		for i := range 10 {
			if err := x.put(s, fmt.Sprint(i), nil, Ref{1, uint64(i)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(s.PutMeta("a", nil, nil), s.PutMeta("b", nil, nil)); err != nil {
			t.Fatal(err)
		}
		flush(t, s)
		full.Store(true)
		if err := x.put(s, "too much", w, Ref{1, 10}); err != nil {
			t.Fatal(err)
		}
		if err := <-refused; !errors.Is(err, ErrFull) {
			t.Fatalf("stored: %v", err)
		}
		if err := <-told; !errors.Is(err, ErrFull) {
			t.Fatalf("told %v", err)
		}
		x.ack(s, Ref{1, 10})
		x.ack(s, Ref{1, 3})
		x.redeliver(s, Ref{1, 4})
		if err := s.DeleteMeta("a", w); err != nil {
			t.Fatal(err)
		}
		if err := s.Sync(t.Context()); !errors.Is(err, ErrFull) {
			t.Errorf("sync: %v", err)
		}
		full.Store(false)
		start := time.Now()
		if err := <-told; err != nil || time.Since(start) > ProbeInterval {
			t.Errorf("told %v after %v", err, time.Since(start))
		}
		if err := <-refused; err != nil {
			t.Errorf("the deletion waited for room, then: %v", err)
		}
		flush(t, s)
		want := x.bodies()
		disk.mu.Lock()
		after := disk.afterLoss(newRand(0))
		disk.mu.Unlock()
		_, x = open(t, Options{Dir: "d", fs: after})
		if diff := cmp.Diff(want, x.bodies()); diff != "" {
			t.Errorf("after reopening (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(map[string]string{"b": ""}, x.meta); diff != "" {
			t.Errorf("journal (-want +got):\n%s", diff)
		}
	})
}

// TestJournalDoesNotFit: a put is refused, and nothing of it is there.
func TestJournalDoesNotFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		disk := newPowerFS()
		o := Options{Dir: "d", fs: disk, Fault: func(op Op, file string) error {
			if full.Load() && op == OpWrite && strings.HasPrefix(file, journalName) {
				return syscall.ENOSPC
			}
			return nil
		}}
		s, _ := open(t, o)
		full.Store(true)
		stored := make(chan error, 1)
		if err := s.PutMeta("key", []byte("value"), WaiterFunc(func(err error) { stored <- err })); err != nil {
			t.Fatal(err)
		}
		if err := <-stored; !errors.Is(err, ErrFull) {
			t.Errorf("stored: %v", err)
		}
		full.Store(false)
		closeStore(t, s)
		s, x := open(t, o)
		if len(x.meta) > 0 || s.Stats().Torn > 0 {
			t.Errorf("journal: %v, %d bytes torn", x.meta, s.Stats().Torn)
		}
	})
}

// TestFailure: after an error that is not a full disk, the store refuses
// everything, says why, and what was confirmed before is there afterwards.
func TestFailure(t *testing.T) {
	for _, f := range []struct {
		op  Op
		err error
	}{{OpWrite, syscall.EIO}, {OpSync, syscall.EIO}, {OpSync, syscall.ENOSPC}} {
		t.Run(fmt.Sprint(f.op, f.err), func(t *testing.T) {
			var broken atomic.Bool
			disk := newPowerFS()
			o := Options{Dir: "d", fs: disk, Fault: func(op Op, file string) error {
				if broken.Load() && op == f.op && strings.HasSuffix(file, segmentSuffix) {
					return f.err
				}
				return nil
			}}
			told := changes(&o)
			s, x := open(t, o)
			if err := x.put(s, "good", nil, Ref{1, 1}); err != nil {
				t.Fatal(err)
			}
			flush(t, s)
			broken.Store(true)
			stored := make(chan error, 1)
			if err := x.put(s, "bad", WaiterFunc(func(err error) { stored <- err }), Ref{1, 2}); err != nil {
				t.Fatal(err)
			}
			cause := <-stored
			if cause == nil || errors.Is(cause, ErrFull) || !strings.Contains(cause.Error(), f.err.Error()) {
				t.Errorf("stored: %v", cause)
			}
			if err := <-told; err == nil || err.Error() != cause.Error() {
				t.Errorf("told %v, want %v", err, cause)
			}
			err := x.put(s, "more", nil, Ref{1, 3})
			for _, err := range []error{err, s.PutMeta("k", nil, nil), s.DeleteMeta("k", nil), s.Sync(t.Context()), s.Err(), s.Close()} {
				if !errors.Is(err, cause) {
					t.Errorf("after the failure: %v, want %v", err, cause)
				}
			}
			broken.Store(false)
			_, x = open(t, Options{Dir: "d", fs: disk})
			if x.live[Ref{1, 1}].body != "good" {
				t.Errorf("the confirmed message is lost: %v", x.live)
			}
		})
	}
}
