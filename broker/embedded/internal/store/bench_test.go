package store

import (
	"fmt"
	"iter"
	"runtime"
	"testing"
	"time"
)

// benchRecord is what most of magne-actors' figures are about: 100 bytes.
func benchRecord() *Record {
	return &Record{Time: 1, Exchange: "magne.v1.x", Key: "thumbnails", Props: []byte{0x10, 0, 2}, Body: make([]byte, 100)}
}

// locIndex is the least that an index can hold: a Loc for each message of one queue.
type locIndex struct {
	*memIndex
	locs  []Loc
	acked int
}

func (x *locIndex) Message(_ *Record, refs []Ref, loc Loc) { x.locs[refs[0].Seq] = loc }

func (x *locIndex) Acked(_ uint32, first, last uint64) {
	for seq := first; seq <= last; seq++ {
		x.locs[seq] = Loc{}
		x.acked++
	}
}

func (x *locIndex) Locs() iter.Seq[Loc] {
	return func(yield func(Loc) bool) {
		for _, l := range x.locs {
			if !l.IsZero() && !yield(l) {
				return
			}
		}
	}
}

// window is the unconfirmed messages of a publisher.
type window chan struct{}

func (w window) Stored(error) { <-w }

// BenchmarkAppend is appends with a window of unconfirmed ones, as publishers
// have it, each confirmed by an fsync.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1, 100, 1000, 10000} {
		b.Run(fmt.Sprint("window=", size), func(b *testing.B) { benchAppend(b, Options{}, size) })
	}
	b.Run("interval=100ms", func(b *testing.B) { benchAppend(b, Options{Interval: 100 * time.Millisecond}, 1000) })
}

func benchAppend(b *testing.B, o Options, size int) {
	b.Helper()
	o.Dir = b.TempDir()
	s, _ := open(b, o)
	m, w := benchRecord(), make(window, size)
	b.SetBytes(int64(messageBytes(m, 1, refBytes)))
	b.ReportAllocs()
	seq := uint64(0)
	base := s.Stats().Groups
	for b.Loop() {
		w <- struct{}{}
		seq++
		if _, err := s.Append(m, []Ref{{1, seq}}, w); err != nil {
			b.Fatal(err)
		}
	}
	for range size { // the last ones
		w <- struct{}{}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(float64(b.N)/float64(s.Stats().Groups-base), "records/group")
}

// BenchmarkAppendParallel is the cost of Append itself, several at once.
func BenchmarkAppendParallel(b *testing.B) {
	s, _ := open(b, Options{Dir: "d", Interval: time.Hour, fs: nullFS{newPowerFS()}})
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		m := benchRecord()
		refs := []Ref{{1, 1}}
		for p.Next() {
			if _, err := s.Append(m, refs, nil); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkConsume is append and acknowledge in order, with a thousand in the queue.
func BenchmarkConsume(b *testing.B) {
	s, _ := open(b, Options{Dir: b.TempDir()})
	m, w := benchRecord(), make(window, 1000)
	var locs [1000]Loc
	b.ReportAllocs()
	seq := uint64(0)
	for b.Loop() {
		w <- struct{}{}
		if old := &locs[seq%1000]; !old.IsZero() {
			s.Ack(Ref{1, seq - 1000}, *old)
		}
		loc, err := s.Append(m, []Ref{{1, seq}}, w)
		if err != nil {
			b.Fatal(err)
		}
		locs[seq%1000] = loc
		seq++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkReplay opens a log of a million messages, and closes it.
func BenchmarkReplay(b *testing.B) {
	const n = 1_000_000
	for _, acked := range []int{0, n / 2} {
		b.Run(fmt.Sprint("acked=", acked), func(b *testing.B) {
			dir := b.TempDir()
			bytes := writeMillion(b, dir, n, acked)
			b.SetBytes(bytes)
			x := &locIndex{memIndex: newIndex(), locs: make([]Loc, n)}
			var openTime, worst time.Duration
			for b.Loop() {
				x.acked = 0
				clear(x.locs)
				start := time.Now()
				s, err := Open(Options{Dir: dir}, x)
				if err != nil {
					b.Fatal(err)
				}
				d := time.Since(start)
				openTime += d
				worst = max(worst, d)
				if live := s.Stats().Live; live != int64(n-acked) || x.acked != acked {
					b.Fatalf("%d live, %d acknowledged", live, x.acked)
				}
				closeStore(b, s)
			}
			b.ReportMetric(openTime.Seconds()*1000/float64(b.N), "ms/open")
			b.ReportMetric(worst.Seconds()*1000, "ms/worst")
		})
	}
}

// writeMillion fills a log; every second one of the first 2*acked is gone.
func writeMillion(b *testing.B, dir string, n, acked int) int64 {
	b.Helper()
	s, _ := open(b, Options{Dir: dir, Interval: time.Hour})
	m, w := benchRecord(), make(window, 10000)
	locs := make([]Loc, n)
	for i := range n {
		w <- struct{}{}
		loc, err := s.Append(m, []Ref{{1, uint64(i)}}, w)
		if err != nil {
			b.Fatal(err)
		}
		locs[i] = loc
	}
	for i := range acked {
		s.Ack(Ref{1, uint64(2 * i)}, locs[2*i])
	}
	flush(b, s)
	bytes := s.Stats().Bytes
	closeStore(b, s)
	return bytes
}

// BenchmarkOpenEmpty is what a start with nothing in the log costs.
func BenchmarkOpenEmpty(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		s, err := Open(Options{Dir: dir}, newIndex())
		if err != nil {
			b.Fatal(err)
		}
		closeStore(b, s)
	}
}

// TestMemory: a store of many messages holds nothing for each.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 200,000 messages")
	}
	s, _ := open(t, Options{Dir: t.TempDir(), Interval: time.Hour})
	m, w := benchRecord(), make(window, 1000)
	heap := func() int64 {
		flush(t, s)
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	add := func(n int) {
		for i := range n {
			w <- struct{}{}
			if _, err := s.Append(m, []Ref{{1, uint64(i)}}, w); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(10_000)
	before := heap()
	add(200_000)
	if grown := heap() - before; grown > 1<<20 {
		t.Errorf("the heap grew by %d bytes for 200,000 messages", grown)
	}
	if got := s.Stats().Live; got != 210_000 {
		t.Errorf("%d live", got)
	}
}

// nullFS writes to nowhere.
type nullFS struct{ *powerFS }

type nullFile struct{ file }

func (f nullFS) open(name string, flag int) (file, error) {
	inner, err := f.powerFS.open(name, flag)
	return nullFile{inner}, err
}

func (nullFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (nullFile) sync() error                            { return nil }
