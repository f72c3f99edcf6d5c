package engine_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/engine"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// gated takes a delivery when the gate lets it in.
type gated struct {
	*client
	gate chan struct{}
}

func (g *gated) Deliver(d *engine.Delivery) {
	<-g.gate
	g.client.Deliver(d)
}

// connectGated consumes from a queue through a gate.
func connectGated(t *testing.T, e *engine.Engine, queue string) *gated {
	g := &gated{connect(t, e), make(chan struct{})}
	g.ch = e.NewChannel(g.owner, g)
	g.consume(queue, "x")
	return g
}

// Publishers are held up by the dead letters that they make, but none has to send
// those of all the others.
func TestBurialsUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1000
		e := open(t, engine.Options{})
		c := connect(t, e)
		c.declare("dead", nil)
		c.declare("q", wire.Table{
			"x-max-length": int32(1), "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead",
		})
		g := connectGated(t, e, "dead")
		bodies := make([]string, n)
		for i := range bodies {
			bodies[i] = fmt.Sprint(i)
		}
		publisher := func(bodies ...string) *bool {
			done := false
			p := connect(t, e)
			go func() {
				p.publish("q", bodies...)
				done = true
			}()
			synctest.Wait()
			return &done
		}
		first := publisher(bodies[:2]...)
		others := publisher(bodies[2 : n-1]...)
		if *first || *others {
			t.Errorf("got publishers that are done %v, %v while no dead letter can be sent", *first, *others)
		}
		q, err := e.DeclareQueue(c.owner, engine.QueueSpec{Name: "q"}, true)
		c.must(err)
		if q.Messages > 2 {
			t.Errorf("got %d messages, want hardly more than the limit 1", q.Messages)
		}
		g.gate <- struct{}{}
		synctest.Wait()
		if !*first {
			t.Error("the first publisher sends dead letters of others")
		}
		close(g.gate)
		synctest.Wait()
		if !*others {
			t.Error("a publisher still waits")
		}
		c.publish("q", bodies[n-1])
		if diff := cmp.Diff(bodies[:n-1], g.take()); diff != "" {
			t.Error("dead letters:", diff)
		}
	})
}

// Publishers do not wait for a queue that is deleted meanwhile.
func TestDeleteWhilePublishersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1000
		e := open(t, engine.Options{})
		c := connect(t, e)
		c.declare("dead", nil)
		c.declare("q", wire.Table{
			"x-max-length": int32(1), "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead",
		})
		g := connectGated(t, e, "dead")
		go func() {
			for i := range n {
				_, err := e.Publish(message(t, "", "q", wire.Properties{}, fmt.Sprint(i)), nil, 0, "")
				c.must(err)
			}
		}()
		go func() {
			for range n {
				_, err := e.Publish(message(t, "", "q", wire.Properties{}, "b"), nil, 0, "")
				c.must(err)
			}
		}()
		synctest.Wait()
		_, err := e.DeleteQueue(c.owner, "q", false, false)
		c.must(err)
		close(g.gate)
		synctest.Wait()
	})
}

// A clean Close in the middle of a burial doubles nothing and loses nothing.
func TestCloseDuringBurial(t *testing.T) {
	const n = 2000
	dir := t.TempDir()
	e, err := engine.Open(engine.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	c := connect(t, e)
	c.declare("sink", nil)
	c.declare("q", wire.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "sink"})
	for i := range n {
		c.publish("q", fmt.Sprint(i))
	}
	c.confirmed()
	c.consume("q", "x")
	g := connectGated(t, e, "sink")
	done := make(chan error, 2)
	go func() { done <- c.ch.Nack(n, true, false) }()
	for range 3 {
		g.gate <- struct{}{}
	}
	go func() { done <- e.Close() }()
	for !errors.Is(publishNowhere(t, e), engine.ErrClosed) {
		runtime.Gosched()
	}
	close(g.gate)
	c.must(<-done)
	c.must(<-done)
	e = open(t, engine.Options{Dir: dir})
	q, sink := info(t, e, "q").Ready, info(t, e, "sink").Ready
	if q+sink != n {
		t.Errorf("got %d messages and %d dead letters, want %d in all", q, sink, n)
	}
	if sink < 3 || sink > 4 {
		t.Errorf("got %d dead letters, want those before Close", sink)
	}
}

func publishNowhere(t *testing.T, e *engine.Engine) error {
	_, err := e.Publish(message(t, "nowhere", "", wire.Properties{}, ""), nil, 0, "")
	return err
}
