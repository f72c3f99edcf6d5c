package engine_test

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/engine"
)

// heap returns how many bytes are live.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// fill publishes n messages of 100 bytes and waits for the confirms.
func fill(t testing.TB, e *engine.Engine, s *sink, n int) {
	t.Helper()
	done := s.confirms
	for i := range n {
		p := message(t, "", "q", persistent, "")
		p.Body = make([]byte, 100)
		if _, err := e.Publish(p, s, uint64(i), ""); err != nil {
			t.Fatal(err)
		}
		if i%100 == 0 {
			s.awaitConfirms(done + i - window)
		}
	}
	s.awaitConfirms(done + n)
}

// A message on disk takes 32 bytes of memory, and what was drained takes none.
func TestMemoryOfMessages(t *testing.T) {
	const n = 100_000
	e, s := open(t, engine.Options{Dir: t.TempDir(), BodyMemory: -1}), newSink()
	c := connect(t, e)
	c.declare("q", nil)
	before := heap()
	fill(t, e, s, n)
	if got := (int64(heap()) - int64(before)) / n; got > 60 {
		t.Errorf("got %d bytes for a message, want at most 60", got)
	}
	if _, err := e.Purge(c.owner, "q"); err != nil {
		t.Fatal(err)
	}
	if got := int64(heap()) - int64(before); got > 1<<20 {
		t.Errorf("got %d bytes after the purge, want but the store's buffers", got)
	}
	runtime.KeepAlive(e)
}

// BenchmarkMillion reports the resident memory of the process with a million
// messages of 100 bytes in a queue, and the time to open it again.
func BenchmarkMillion(b *testing.B) {
	for b.Loop() {
		o := engine.Options{Dir: b.TempDir()}
		e, s := open(b, o), newSink()
		connect(b, e).declare("q", nil)
		fill(b, e, s, 1_000_000)
		b.ReportMetric(resident(b), "MiB-filled")
		if err := e.Close(); err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		e = open(b, o)
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms-open")
		if q := info(b, e, "q"); q.Ready != 1_000_000 {
			b.Fatalf("got %d messages, want a million", q.Ready)
		}
	}
}

// resident returns the greatest resident memory of the process so far, in MiB.
func resident(t testing.TB) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib / 1024
		}
	}
	t.Skip("no VmHWM")
	return 0
}
