package osproc

import (
	"sync/atomic"
	"time"
)

// selfEvery is how often this program is measured at most: the kernel counts its
// processor time in ticks of 10 ms.
const selfEvery = time.Second

// Self measures what this program itself uses, without the processes that it has
// started. The zero value is usable, by any number of goroutines.
type Self struct{ last atomic.Pointer[selfUsage] }

type selfUsage struct {
	at  time.Time
	cpu time.Duration // since the start of the program
	Usage
}

// Usage is what a program uses; zero where that cannot be told.
type Usage struct {
	RSS int64   // bytes
	CPU float64 // in percent of one processor
}

// Usage reads a file of /proc, or returns what it has found less than a second ago. The
// processor time is that since the measurement before, and 0 in the first one.
func (s *Self) Usage() Usage { return s.usage(time.Now(), statSelf) }

func (s *Self) usage(now time.Time, read func() (Stat, error)) Usage {
	old := s.last.Load()
	if old != nil && now.Sub(old.at) < selfEvery {
		return old.Usage
	}
	stat, err := read()
	if err != nil {
		return Usage{}
	}
	fresh := &selfUsage{at: now, cpu: stat.CPU, Usage: Usage{RSS: stat.RSS}}
	if old != nil {
		fresh.CPU = 100 * float64(stat.CPU-old.cpu) / float64(now.Sub(old.at))
	}
	s.last.CompareAndSwap(old, fresh)
	return fresh.Usage
}
