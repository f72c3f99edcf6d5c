package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// hold returns a waiter that keeps the committer from its next group until
// release is called. No real waiter may do that.
func hold() (w Waiter, held <-chan struct{}, release func()) {
	h, r := make(chan struct{}), make(chan struct{})
	return WaiterFunc(func(error) { close(h); <-r }), h, func() { close(r) }
}

// TestRefusedStaysAway: a group that fits in part is refused as a whole, and
// with it what was appended while it was written. Nothing of it is there
// afterwards, wherever the power is lost.
func TestRefusedStaysAway(t *testing.T) {
	for seed := range 64 {
		synctest.Test(t, func(t *testing.T) { refuse(t, seed) })
	}
}

func refuse(t *testing.T, seed int) {
	t.Helper()
	disk, rng := newPowerFS(), newRand(seed)
	o := Options{Dir: "d", ReserveBytes: 1, fs: disk}
	s, x := open(t, o)
	w, held, release := hold()
	if err := x.put(s, "first", w, Ref{1, 0}); err != nil {
		t.Fatal(err)
	}
	<-held
	var after *powerFS
	told := 0
	refused := WaiterFunc(func(err error) {
		if !errors.Is(err, ErrFull) {
			t.Errorf("stored: %v", err)
		}
		if told++; told == 1 {
			disk.mu.Lock()
			after = disk.afterLoss(rng)
			disk.mu.Unlock()
		}
	})
	put := func(seq int) {
		if seed%2 == 0 {
			if err := x.put(s, strings.Repeat("x", 300), refused, Ref{1, uint64(seq)}); err != nil {
				t.Error(err)
			}
		} else if err := s.PutMeta(fmt.Sprint("key", seq), make([]byte, 300), refused); err != nil {
			t.Error(err)
		}
	}
	for i := range 10 {
		put(1 + i)
	}
	disk.mu.Lock()
	disk.limit = disk.used() + 2000
	disk.onOp = func(op Op) {
		if op == OpWrite {
			disk.onOp = nil
			put(11)
		}
	}
	disk.mu.Unlock()
	release()
	synctest.Wait()
	if told != 11 {
		t.Fatalf("%d were refused, want 11", told)
	}
	_, x = open(t, Options{Dir: "d", ReserveBytes: 1, fs: after})
	if len(x.live) != 1 || len(x.meta) != 0 {
		t.Errorf("seed %d: %d messages and %d keys after power loss, want 1 and 0", seed, len(x.live), len(x.meta))
	}
}

// TestNoRoomToCompact: compaction that does not fit waits for room, and does not
// keep the disk busy.
func TestNoRoomToCompact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newPowerFS()
		o := Options{Dir: "d", SegmentBytes: 16 * kilobyte, ReserveBytes: 32 * kilobyte, fs: disk}
		told := changes(&o)
		s, x := open(t, o)
		put := func(seq, size int) error {
			stored := make(chan error, 1)
			if err := x.put(s, strings.Repeat("x", size), WaiterFunc(func(err error) { stored <- err }), Ref{1, uint64(seq)}); err != nil {
				return err
			}
			return <-stored
		}
		if err := put(0, 3*kilobyte); err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			if err := put(i+1, kilobyte); err != nil {
				t.Fatal(err)
			}
		}
		disk.mu.Lock()
		disk.limit = disk.used()
		disk.mu.Unlock()
		if err := put(101, kilobyte); err != nil { // takes the reserve
			t.Fatal(err)
		}
		if err := <-told; !errors.Is(err, ErrFull) {
			t.Fatalf("told %v", err)
		}
		disk.mu.Lock()
		disk.limit = disk.used() + kilobyte
		ops := 0
		disk.onOp = func(Op) { ops++ }
		disk.mu.Unlock()
		for i := 101; i > 0; i-- {
			x.ack(s, Ref{1, uint64(i)})
		}
		<-time.After(10 * time.Second)
		synctest.Wait()
		disk.mu.Lock()
		if ops > 200 {
			t.Errorf("%d operations in 10 s", ops)
		}
		disk.limit = 0
		disk.mu.Unlock()
		if err := <-told; err != nil {
			t.Errorf("told %v", err)
		}
		<-time.After(time.Second)
		synctest.Wait()
		if st := s.Stats(); st.Segments > 2 || st.Copied != 1 {
			t.Errorf("with room: %+v, want the old message copied and nothing else left", st)
		}
	})
}
