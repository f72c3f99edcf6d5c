package spool_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/magne-actors/magne-actors/broker"
)

// deafBroker refuses everything and ends when it has done so n times.
type deafBroker struct {
	broker.Session
	n    int
	done chan struct{}
}

func (b *deafBroker) Done() <-chan struct{} { return b.done }

func (b *deafBroker) Publish(_ context.Context, _ *broker.Publication, done func(error)) error {
	done(broker.ErrRefused)
	if b.n--; b.n == 0 {
		close(b.done)
	}
	return nil
}

// BenchmarkRefused: what waits for another try must cost those behind it nothing,
// however much of it there is.
func BenchmarkRefused(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				s := open(b, b.TempDir(), 1<<30)
				accepted := make(chan error, n)
				for i := range n {
					s.Put(message(strconv.Itoa(i)), func(release func(bool), err error) {
						if err == nil {
							release(true)
						}
						accepted <- err
					})
				}
				for range n {
					if err := <-accepted; err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
				s.Flush(b.Context(), &deafBroker{n: n, done: make(chan struct{})})
				b.StopTimer()
				shut(b, s)
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/message")
		})
	}
}
