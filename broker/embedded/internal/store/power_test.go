package store

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// rounds is n, or more where somebody has the time.
func rounds(env string, n int) int {
	if v, err := strconv.Atoi(os.Getenv(env)); err == nil {
		return v
	}
	return n
}

// ledger is what was promised about a store, by its documentation.
type ledger struct {
	mu        sync.Mutex
	appended  map[Ref]string // ever
	confirmed map[Ref]bool
	refused   map[Ref]bool
	acked     []Ref
	durable   int // of acked
	counts    map[Ref]uint32
	synced    map[Ref]uint32 // delivery counts

	keys     map[string][]string // every value that a key had, "-" for none
	certain  map[string]int      // index of the newest that is on disk
	interval bool                // Stored does not say durable
}

func newLedger() *ledger {
	return &ledger{
		appended: map[Ref]string{}, confirmed: map[Ref]bool{}, refused: map[Ref]bool{}, counts: map[Ref]uint32{}, synced: map[Ref]uint32{},
		keys: map[string][]string{}, certain: map[string]int{},
	}
}

func (l *ledger) clone() *ledger {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := newLedger()
	maps.Copy(c.appended, l.appended)
	maps.Copy(c.confirmed, l.confirmed)
	maps.Copy(c.refused, l.refused)
	maps.Copy(c.synced, l.synced)
	c.acked, c.durable = slices.Clone(l.acked), l.durable
	for k, v := range l.keys {
		c.keys[k] = slices.Clone(v)
	}
	maps.Copy(c.certain, l.certain)
	return c
}

// check compares what came back with what was promised.
func (l *ledger) check(x *memIndex) error {
	maybe := map[Ref]bool{} // gone, for certain or not
	for i, r := range l.acked {
		maybe[r] = true
		if _, ok := x.live[r]; ok && i < l.durable {
			return fmt.Errorf("%v came back, its acknowledgement was on disk", r)
		}
	}
	for r, sure := range l.confirmed {
		if e, ok := x.live[r]; sure && !ok && !maybe[r] {
			return fmt.Errorf("%v is lost", r)
		} else if ok && e.count < l.synced[r] {
			return fmt.Errorf("%v has delivery count %d, %d was on disk", r, e.count, l.synced[r])
		}
	}
	for r, e := range x.live {
		if body, ok := l.appended[r]; !ok || body != e.body {
			return fmt.Errorf("%v has body %.20q, want %.20q", r, e.body, body)
		}
		if l.refused[r] {
			return fmt.Errorf("%v was refused and is there", r)
		}
	}
	for k, values := range l.keys {
		got, ok := x.meta[k]
		if !ok {
			got = "-"
		}
		if at := slices.Index(values[l.certain[k]:], got); at < 0 {
			return fmt.Errorf("key %s is %q, want one of %q", k, got, values[l.certain[k]:])
		}
	}
	return nil
}

// driver does random things to a store and keeps the ledger.
type driver struct {
	s   *Store
	x   *memIndex
	l   *ledger
	rng *rand.Rand
	seq uint64
}

func (d *driver) step() {
	switch n := d.rng.IntN(100); {
	case n < 40:
		d.append()
	case n < 82:
		d.ack()
	case n < 86:
		d.redeliver()
	case n < 93:
		d.meta()
	case n < 95:
		d.ackAll(uint32(d.rng.IntN(3)))
	default:
		d.sync()
	}
}

func (d *driver) append() {
	d.seq++
	body := strings.Repeat(strconv.FormatUint(d.seq, 36)+" ", d.rng.IntN(60))
	refs := []Ref{{uint32(d.rng.IntN(3)), d.seq}}
	for range d.rng.IntN(3) {
		refs = append(refs, Ref{uint32(3 + len(refs)), d.seq})
	}
	d.l.mu.Lock()
	for _, r := range refs {
		d.l.appended[r] = body
	}
	before := len(d.l.acked)
	d.l.mu.Unlock()
	stored := func(err error) {
		d.l.mu.Lock()
		defer d.l.mu.Unlock()
		if err == nil && d.l.interval {
			return
		}
		for _, r := range refs {
			d.l.confirmed[r], d.l.refused[r] = err == nil, err != nil
		}
		if err != nil {
			return
		}
		d.l.durable = max(d.l.durable, before)
	}
	if err := d.x.put(d.s, body, WaiterFunc(stored), refs...); err != nil {
		stored(err)
	}
}

// ack takes a message in no order, or nearly the oldest one: most messages go
// soon, some stay for long.
func (d *driver) ack() {
	refs := d.x.refs()
	if len(refs) == 0 {
		return
	}
	slices.SortFunc(refs, func(a, b Ref) int { return int(a.Seq) - int(b.Seq) })
	i := len(refs) - 1 - d.rng.IntN(min(len(refs), 10))
	if d.rng.IntN(8) == 0 {
		i = d.rng.IntN(len(refs))
	}
	d.l.mu.Lock()
	d.l.acked = append(d.l.acked, refs[i])
	d.l.mu.Unlock()
	d.x.ack(d.s, refs[i])
}

func (d *driver) ackAll(queue uint32) {
	var locs []Loc
	d.x.mu.Lock()
	d.l.mu.Lock()
	for r, e := range d.x.live {
		if r.Queue == queue {
			locs = append(locs, e.loc)
			d.l.acked = append(d.l.acked, r)
			delete(d.x.live, r)
		}
	}
	d.l.mu.Unlock()
	d.x.mu.Unlock()
	d.s.AckRange(queue, 0, d.seq, slices.Values(locs))
}

func (d *driver) redeliver() {
	for _, r := range d.x.refs() {
		d.x.redeliver(d.s, r)
		d.x.mu.Lock()
		d.l.counts[r] = d.x.live[r].count
		d.x.mu.Unlock()
		return
	}
}

func (d *driver) meta() {
	key := fmt.Sprint("key", d.rng.IntN(5))
	d.l.mu.Lock()
	if d.l.keys[key] == nil {
		d.l.keys[key] = []string{"-"}
	}
	at := len(d.l.keys[key])
	value := strings.Repeat(fmt.Sprint(d.seq, ","), d.rng.IntN(100))
	del := d.rng.IntN(4) == 0
	if del {
		value = "-"
	}
	d.l.keys[key] = append(d.l.keys[key], value)
	d.l.mu.Unlock()
	w := WaiterFunc(func(err error) {
		d.l.mu.Lock()
		defer d.l.mu.Unlock()
		if err != nil {
			d.l.keys[key][at] = "refused"
		} else if !d.l.interval {
			d.l.certain[key] = max(d.l.certain[key], at)
		}
	})
	var err error
	if del {
		err = d.s.DeleteMeta(key, w)
	} else {
		err = d.s.PutMeta(key, []byte(value), w)
	}
	if err != nil {
		w(err)
	}
}

func (d *driver) sync() {
	before := d.l.clone()
	d.l.mu.Lock()
	counts := maps.Clone(d.l.counts)
	d.l.mu.Unlock()
	if err := d.s.Sync(context.Background()); err != nil {
		return
	}
	d.l.mu.Lock()
	defer d.l.mu.Unlock()
	d.l.durable = max(d.l.durable, len(before.acked))
	for k, values := range before.keys {
		at := len(values) - 1
		for d.l.keys[k][at] == "refused" {
			at--
		}
		d.l.certain[k] = max(d.l.certain[k], at)
	}
	maps.Copy(d.l.synced, counts)
	for r := range before.appended {
		d.l.confirmed[r] = !d.l.refused[r]
	}
}

// TestPowerLoss pulls the plug, or kills the process, at a random operation of the
// disk, again and again over the life of one store.
func TestPowerLoss(t *testing.T) {
	for _, interval := range []time.Duration{0, time.Millisecond} {
		t.Run(interval.String(), func(t *testing.T) {
			for seed := range rounds("MAGNE_STORE_POWER", 8) {
				powerLoss(t, uint64(seed), interval)
			}
		})
	}
}

func powerLoss(t *testing.T, seed uint64, interval time.Duration) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	disk, seq := newPowerFS(), uint64(0)
	l := newLedger()
	var copied uint64
	for life := range 8 {
		x := newIndex()
		o := Options{Dir: "d", SegmentBytes: MinSegmentBytes, ReserveBytes: 1, Interval: interval, fs: disk, journalMin: 4 << 10}
		s, err := Open(o, x)
		if err != nil {
			t.Fatalf("seed %d, life %d: %v", seed, life, err)
		}
		if err := l.check(x); err != nil {
			t.Fatalf("seed %d, life %d: %v", seed, life, err)
		}
		l = restart(x, interval)
		d := &driver{s: s, x: x, l: l, rng: rng, seq: seq}
		var after *powerFS
		var promised *ledger
		lossRNG := rand.New(rand.NewPCG(seed, uint64(life)))
		at, kind := lossRNG.IntN(400), Op("")
		switch lossRNG.IntN(3) {
		case 0: // where the order of operations matters most
			ops := []Op{OpCreate, OpRename, OpRemove, OpSyncDir}
			at, kind = lossRNG.IntN(12), ops[lossRNG.IntN(len(ops))]
		case 1: // when it has just started
			at = lossRNG.IntN(6)
		}
		disk.mu.Lock()
		disk.onOp = func(op Op) {
			if kind != "" && op != kind {
				return
			}
			if at--; at == 0 {
				promised, after = d.l.clone(), disk.afterLoss(lossRNG)
				if lossRNG.IntN(3) == 0 {
					after = disk.afterKill()
				}
			}
		}
		disk.mu.Unlock()
		for range 400 {
			d.step()
		}
		copied += s.Stats().Copied
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		seq = d.seq
		if after == nil { // a clean end
			promised, after = l.clone(), disk
			promised.durable = len(promised.acked)
		}
		disk.onOp = nil
		disk, l = after, promised
	}
	if copied == 0 {
		t.Errorf("seed %d: compaction had nothing to do", seed)
	}
}

// restart begins a ledger with what is there: Open has synced it.
func restart(x *memIndex, interval time.Duration) *ledger {
	l := newLedger()
	l.interval = interval > 0
	for r, e := range x.live {
		l.appended[r], l.confirmed[r] = e.body, true
		l.counts[r], l.synced[r] = e.count, e.count
	}
	for k, v := range x.meta {
		l.keys[k] = []string{v}
	}
	return l
}

func newRand(seed int) *rand.Rand { return rand.New(rand.NewPCG(uint64(seed), 7)) }
