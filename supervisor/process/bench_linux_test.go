package process_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/internal/osproc"
	"github.com/magne-actors/magne-actors/supervisor/process"
)

// One task there and back, through a worker in Go.
func BenchmarkSlotRun(b *testing.B) {
	for _, pipeline := range []int{1, 8} {
		b.Run("pipeline="+strconv.Itoa(pipeline), func(b *testing.B) {
			o := options("worker")
			o.Pipeline = pipeline
			o.Timeout.Soft, o.Timeout.Hard = 25*time.Second, 30*time.Second
			g := newRig(b, rigOptions{options: o})
			g.ready()
			m := message("ok")
			b.ReportAllocs()
			b.SetParallelism(pipeline)
			if pipeline == 1 {
				for b.Loop() {
					if err := g.slots[0].Run(context.Background(), m); err != nil {
						b.Fatal(err)
					}
				}
				return
			}
			places := make(chan struct{}, pipeline)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					places <- struct{}{}
					if err := g.slots[0].Run(context.Background(), m); err != nil {
						b.Error(err)
					}
					<-places
				}
			})
		})
	}
}

// What a sample of a worker costs: one each second.
func BenchmarkSample(b *testing.B) {
	host, err := process.NewHost(process.HostOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer host.Close()
	p, err := host.Start(context.Background(), osproc.Spec{Command: []string{"sleep", "1000"}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Stat(); err != nil {
			b.Fatal(err)
		}
	}
}

// A rolling replacement of all slots while one of them runs a task of 4 s: the
// longest wait of short tasks on the others.
func BenchmarkReplaceBesideALongTask(b *testing.B) {
	o := options("worker")
	g := newRig(b, rigOptions{slots: 4, options: o})
	o.Host = g.host
	for b.Loop() {
		g.ready()
		long := make(chan error, 1)
		go func() { long <- g.slots[0].Run(context.Background(), message("sleep", "4000")) }()
		rolled := make(chan error, 1)
		go func() {
			var errs []error
			for _, s := range g.slots {
				errs = append(errs, s.Replace(context.Background(), o))
			}
			rolled <- errors.Join(errs...)
		}()
		longest := time.Duration(0)
		for over, n := false, 0; !over; n++ {
			select {
			case err := <-rolled:
				over = true
				if err != nil {
					b.Fatal(err)
				}
			default:
			}
			began := time.Now()
			for { // what a pool does with a refused task: another slot
				err := g.slots[1+n%3].Run(context.Background(), message("ok"))
				if err == nil {
					break
				}
				if !errors.Is(err, process.ErrNotStarted) {
					b.Fatal(err)
				}
				n++
			}
			longest = max(longest, time.Since(began))
		}
		if err := <-long; err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(longest.Microseconds())/1000, "ms-longest-wait")
	}
}
