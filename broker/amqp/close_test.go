package amqp

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/broker"
)

// TestCloseEndsWithItsContext although somebody else is ending the lanes, and does not
// get on with it.
func TestCloseEndsWithItsContext(t *testing.T) {
	s := &session{d: Dialer{ChannelSpan: 1}, consumers: map[*consumer]struct{}{}}
	c := newConsumer(s, broker.Source{Queue: broker.Queue{Name: "work"}, Credit: 1})
	close(c.started)
	c.cancelled = make(chan struct{})
	close(c.cancelled) // the broker has agreed
	s.wg.Go(func() { c.settler.run(c.done) })
	c.last.Lock()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	closed := make(chan error, 1)
	go func() { closed <- c.Close(ctx) }()
	select {
	case err := <-closed:
		if !errors.Is(err, context.DeadlineExceeded) || !c.isDead() {
			t.Errorf("got %v, dead: %v", err, c.isDead())
		}
	case <-time.After(time.Minute):
		t.Error("it outlasts its context")
	}
	c.last.Unlock()
	s.wg.Wait()
}
