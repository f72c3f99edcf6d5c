package engine_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/engine"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/store"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// What could not be written to the journal is not there for the next that declares it.
func TestDeclareOnFullDisk(t *testing.T) {
	declare := map[string]func(*engine.Engine, *engine.Owner) error{
		"queue": func(e *engine.Engine, o *engine.Owner) error {
			_, err := e.DeclareQueue(o, engine.QueueSpec{Name: "r", Durable: true}, false)
			return err
		},
		"exchange": func(e *engine.Engine, _ *engine.Owner) error {
			return e.DeclareExchange(engine.ExchangeSpec{Name: "r", Type: "fanout", Durable: true}, false)
		},
		"binding": func(e *engine.Engine, o *engine.Owner) error { return e.BindQueue(o, "q", "x", "r", nil) },
	}
	for what, do := range declare {
		t.Run(what, func(t *testing.T) {
			var full atomic.Bool
			o := engine.Options{Dir: t.TempDir(), Fault: func(op store.Op, _ string) error {
				if full.Load() && (op == store.OpWrite || op == store.OpAllocate) {
					return syscall.ENOSPC
				}
				return nil
			}}
			e := open(t, o)
			c := connect(t, e)
			c.declare("q", nil)
			c.must(e.DeclareExchange(engine.ExchangeSpec{Name: "x", Type: "direct", Durable: true}, false))
			full.Store(true)
			errs := make(chan error)
			for range 4 { // at once: nobody may be told that it is there
				go func() { errs <- do(e, c.owner) }()
			}
			for range 4 {
				if err := <-errs; err == nil {
					t.Error("got no error with a full disk")
				}
			}
			if _, err := e.DeclareQueue(c.owner, engine.QueueSpec{Name: "r"}, true); err == nil {
				t.Error("the queue is there though it was refused")
			}
			full.Store(false)
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for begin := time.Now(); ; <-tick.C { // until the store has looked for room
				err := do(e, c.owner)
				if err == nil {
					break
				}
				if time.Since(begin) > 10*time.Second {
					t.Fatal(err)
				}
			}
			e = crash(t, o.Dir, engine.Options{})
			c = connect(t, e)
			switch what {
			case "queue":
				_, err := e.DeclareQueue(c.owner, engine.QueueSpec{Name: "r"}, true)
				c.must(err)
			case "exchange":
				c.must(e.DeclareExchange(engine.ExchangeSpec{Name: "r"}, true))
			case "binding":
				c.send("x", "r", persistent, "a")
				c.expectQueue("q", "a")
			}
		})
	}
}

// What was delivered too often when the process ended is not delivered again,
// wherever it is in the queue.
func TestDeliveryLimitAfterCrash(t *testing.T) {
	o := engine.Options{Dir: t.TempDir()}
	e := open(t, o)
	c := connect(t, e)
	c.declare("dead", nil)
	c.declare("q", wire.Table{
		"x-queue-type": "quorum", "x-delivery-limit": int32(2),
		"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead",
	})
	c.publish("q", "once", "poison", "new")
	c.confirmed()
	get := func(want string) {
		t.Helper()
		_, err := c.ch.Get("q", false, c.Deliver)
		c.must(err)
		c.expect(want)
	}
	get("once")
	get("poison")
	c.must(c.ch.Nack(2, false, true))
	get("poison")
	c.must(c.ch.Nack(3, false, true))
	get("poison")
	settled(t, e, c.owner)
	e = crash(t, o.Dir, o)
	c = connect(t, e)
	if q := info(t, e, "q"); q.Ready != 2 || q.Unacked != 0 || q.BodyBytes != 7 || q.Persistent != 2 {
		t.Errorf("got %+v, want 2 messages ready, of 7 bytes, and no other", q)
	}
	c.expectQueue("q", "once", "new")
	c.expectQueue("dead", "poison")
}

// A queue whose declaration is lost leaves its messages to nobody.
func TestJournalLost(t *testing.T) {
	for _, lanes := range []int32{0, 3} {
		var log strings.Builder
		o := engine.Options{Dir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(&log, nil))}
		e := open(t, o)
		c := connect(t, e)
		empty, err := os.ReadFile(filepath.Join(o.Dir, "journal"))
		c.must(err)
		c.declare("lost", wire.Table{"x-max-priority": lanes})
		c.declare("deleted", nil)
		c.publish("deleted", "a", "b")
		c.publish("lost", "a", "b", "c")
		c.send("", "lost", wire.Properties{DeliveryMode: wire.Persistent, Priority: 2}, "high")
		c.confirmed()
		if c.get("lost") == "" {
			t.Fatal("got no message")
		}
		_, err = e.DeleteQueue(c.owner, "deleted", false, false)
		c.must(err)
		settled(t, e, c.owner)
		c.close()
		c.must(e.Close())
		c.must(os.WriteFile(filepath.Join(o.Dir, "journal"), empty, 0o600))

		e = open(t, o)
		c = connect(t, e)
		names := []string{"p", "q", "r", "s", "t", "u"}
		for _, q := range names {
			c.declare(q, nil)
		}
		c.publish("q", "new")
		c.confirmed()
		c.close()
		c.must(e.Close())
		// Three of the queue that was lost, one of settled.
		const want = `msg="the log has messages of queues that are not in the journal; they are dropped" messages=4`
		if n := strings.Count(log.String(), want); n != 1 {
			t.Errorf("got the log\n%s\nwant once: %s", &log, want)
		}
		e = open(t, o)
		c = connect(t, e)
		for _, q := range names {
			if q == "q" {
				c.expectQueue(q, "new")
			} else {
				c.expectQueue(q)
			}
		}
	}
}
