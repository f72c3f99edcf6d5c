package amqp

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/magne-actors/magne-actors/broker"
)

// settler is the one goroutine that settles the deliveries of a consumer, and
// the queue to it. Two goroutines that ack on one channel could overtake each
// other, and a multiple-ack must not be overtaken.
type settler struct {
	lanes   []*lane
	settled func(int)

	mu     sync.Mutex
	queue  []settlement
	wakeAt int  // length of queue that is worth waking the goroutine
	dead   bool // takes nothing any more

	wake    chan struct{}      // capacity 1
	flushes chan chan struct{} // a flush; closed when done
	ended   chan struct{}      // closed at the end of run

	lastSent atomic.Pointer[time.Time] // when the newest frame was written; nil: never

	// Of the goroutine.
	spare  []settlement
	frames []frame
	dirty  []*lane // with something to plan
}

type settlement struct {
	lane    int
	tag     uint64
	verdict broker.Verdict
}

func newSettler(lanes []*lane, settled func(int)) *settler {
	if settled == nil {
		settled = func(int) {}
	}
	return &settler{
		lanes: lanes, settled: settled, wakeAt: 1,
		wake:    make(chan struct{}, 1),
		flushes: make(chan chan struct{}),
		ended:   make(chan struct{}),
	}
}

// add queues x. It never blocks; the queue is bounded by the credit.
func (s *settler) add(x settlement) error {
	s.mu.Lock()
	if s.dead {
		s.mu.Unlock()
		return broker.ErrStale
	}
	s.queue = append(s.queue, x)
	wake := len(s.queue) == s.wakeAt
	s.mu.Unlock()
	if wake {
		s.signal()
	}
	return nil
}

func (s *settler) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// stop lets add refuse. The goroutine ends by its done channel.
func (s *settler) stop() {
	s.mu.Lock()
	s.dead = true
	s.mu.Unlock()
}

// run settles until done is closed, and then counts what it drops. The caller
// has called stop before it closes done.
func (s *settler) run(done <-chan struct{}) {
	defer close(s.ended)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		var flush chan struct{}
		select {
		case <-s.wake:
		case <-timer.C:
		case flush = <-s.flushes:
		case <-done:
			s.drop()
			return
		}
		for again := true; again; {
			s.pass(flush != nil)
			again = s.sleep()
		}
		if flush != nil {
			close(flush)
		}
		if len(s.dirty) > 0 {
			timer.Reset(settleTick)
		} else {
			timer.Stop()
		}
	}
}

// pass takes the queue and sends what is due.
func (s *settler) pass(flush bool) {
	s.mu.Lock()
	batch := s.queue
	s.queue = s.spare[:0]
	s.wakeAt = math.MaxInt // awake
	s.mu.Unlock()

	now, n := time.Now(), 0
	for _, x := range batch {
		l := s.lanes[x.lane]
		if !l.dirty {
			l.dirty = true
			s.dirty = append(s.dirty, l)
		}
		if !l.window.settle(x.tag, x.verdict, now) {
			n++ // settled twice: sending it again would close the channel
		}
	}
	s.spare = batch

	still := s.dirty[:0]
	for _, l := range s.dirty {
		s.frames = l.window.plan(now, flush, s.frames[:0])
		for _, f := range s.frames {
			l.send(f)
			n += f.n
		}
		if l.dirty = l.window.waiting(); l.dirty {
			still = append(still, l)
		}
	}
	clear(s.dirty[len(still):])
	s.dirty = still
	if n > 0 {
		s.lastSent.Store(&now)
		s.settled(n)
	}
}

// sleep prepares for waiting: with nothing held, the first settlement wakes the
// goroutine; with something held, its timer does, or a queue that is worth it.
// It returns true when there is no reason to sleep.
func (s *settler) sleep() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wakeAt = 1
	if len(s.dirty) > 0 {
		s.wakeAt = s.batch()
	}
	return len(s.queue) >= s.wakeAt
}

// batch is how many new settlements are worth a wake-up: enough for a frame, and
// never so many that the broker runs out of room.
func (s *settler) batch() int {
	return max(1, min(prefixBatch, s.lanes[0].prefetch/2))
}

// send writes f. A failure means that the channel is dead: the lane's watcher
// knows why, and the broker gives the deliveries to somebody else.
func (l *lane) send(f frame) {
	if l.broken {
		return
	}
	var err error
	switch f.verdict {
	case broker.Ack:
		err = l.ch.Ack(f.tag, f.multiple)
	case broker.Requeue:
		err = l.ch.Nack(f.tag, false, true)
	case broker.Reject:
		err = l.ch.Reject(f.tag, false)
	case broker.Failed: // RabbitMQ tells it from Requeue by the method
		err = l.ch.Reject(f.tag, true)
	}
	l.broken = err != nil
}

// drop counts what was queued or held when the consumer died.
func (s *settler) drop() {
	s.mu.Lock()
	n := len(s.queue)
	s.queue = nil
	s.mu.Unlock()
	for _, l := range s.lanes {
		n += l.window.held + len(l.window.urgent)
	}
	if n > 0 {
		s.settled(n)
	}
}

// flush returns when all that was queued before has been written.
func (s *settler) flush(ctx context.Context) error {
	done := make(chan struct{})
	select {
	case s.flushes <- done:
	case <-s.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-s.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
