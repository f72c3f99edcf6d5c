package wire_test

import (
	"fmt"
	"testing"

	"github.com/magne-actors/magne-actors/internal/wire"
)

// BenchmarkWorkers sends empty tasks to n workers, one at a time to each, and
// reports the rate of all together: the path of the frames alone.
func BenchmarkWorkers(b *testing.B) {
	for _, s := range sdks()[:3] {
		for _, n := range []int{1, 8} {
			b.Run(fmt.Sprintf("%s-%d", s.name, n), func(b *testing.B) { benchmarkWorkers(b, s, n) })
		}
	}
}

func benchmarkWorkers(b *testing.B, s sdk, n int) {
	workers := make([]*peer, n)
	for i := range workers {
		workers[i] = start(b, s)
		workers[i].hello(b)
	}
	b.ReportAllocs()
	b.ResetTimer()
	errs := make(chan error, n)
	for i, w := range workers {
		go func() { errs <- w.pump((b.N + i) / n) }()
	}
	for range workers {
		if err := <-errs; err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
}

func (p *peer) pump(tasks int) error {
	task := wire.Frame{Type: wire.Task, Name: "nothing", Attempt: 1, ContentType: "application/json", Body: []byte(`{"args":[1]}`)}
	for range tasks {
		task.ID = p.session.Issue()
		if err := p.Write(&task); err != nil {
			return err
		}
		f, err := p.Next()
		if err != nil {
			return err
		}
		if m, err := p.session.Receive(&f); err != nil || m != wire.Settled {
			return fmt.Errorf("%s: %v %w", show(&f), m, err)
		}
	}
	return nil
}
