package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/magne-actors/magne-actors/task"
)

// meter measures the system in this process.
type meter struct {
	n        int64
	begin    reading
	end      reading // written before finished is closed
	finished chan struct{}
	settled  atomic.Int64

	inFlight, running gauge
	pauses            int64
}

// reading is the time and what the process has used by then.
type reading struct {
	at  time.Time
	cpu time.Duration
}

func newMeter(n int) *meter { return &meter{n: int64(n), finished: make(chan struct{})} }

func read() reading { return reading{time.Now(), cpuTime()} }

// start starts the clock, before the system has done anything.
func (m *meter) start() { m.begin = read() }

// settle counts settlements that have been written to the broker; the last one
// stops the clock.
func (m *meter) settle(n int) {
	if m.settled.Add(int64(n)) == m.n {
		m.end = read()
		close(m.finished)
	}
}

// watch counts the handlers that run.
func (m *meter) watch(next task.Handler) task.Handler {
	return task.HandlerFunc(func(ctx context.Context, t *task.Message) error {
		m.running.add(1)
		defer m.running.add(-1)
		return next.Handle(ctx, t)
	})
}

// sample is the result, once finished is closed.
func (m *meter) sample() (*sample, error) {
	rss, err := peakRSS()
	if err != nil {
		return nil, err
	}
	return &sample{
		Seconds: m.end.at.Sub(m.begin.at).Seconds(), ClientCPUSeconds: (m.end.cpu - m.begin.cpu).Seconds(),
		PeakRSSMiB: float64(rss) / (1 << 20), PeakInFlight: m.inFlight.peak.Load(), PeakRunning: m.running.peak.Load(),
		Pauses: m.pauses,
	}, nil
}

// gauge is a number and its largest value so far.
type gauge struct{ now, peak atomic.Int64 }

func (g *gauge) add(n int64) {
	now := g.now.Add(n)
	for {
		peak := g.peak.Load()
		if now <= peak || g.peak.CompareAndSwap(peak, now) {
			return
		}
	}
}
