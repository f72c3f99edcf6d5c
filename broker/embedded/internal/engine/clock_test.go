package engine_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/engine"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// TestClockThatIsSet has the machine's clock set by a day, forward and back, while
// messages wait for their time and a delivery for its acknowledgement.
func TestClockThatIsSet(t *testing.T) {
	for _, by := range []time.Duration{24 * time.Hour, -24 * time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := open(t, engine.Options{ConsumerTimeout: time.Hour})
				e.SetClock(-by) // what the machine's clock says differs by this much
				c := connect(t, e)
				c.declare("work", nil)
				c.declare("brief", wire.Table{"x-expires": int32(60_000)})
				c.declare("late", wire.Table{"x-message-ttl": int32(60_000)})
				c.publish("work", "a")
				c.consume("work", "x")
				c.publish("late", "b")
				time.Sleep(59 * time.Second)
				if n := info(t, e, "late").Ready; n != 1 || len(e.Queues()) != 3 {
					t.Errorf("got %d messages in %d queues after 59 s, want 1 in 3", n, len(e.Queues()))
				}
				if _, late := c.ch.Overdue(); late {
					t.Error("a delivery is late after 59 s of an hour")
				}
				time.Sleep(2 * time.Second)
				if n := info(t, e, "late").Ready; n != 0 || len(e.Queues()) != 2 {
					t.Errorf("got %d messages in %d queues after 61 s, want 0 in 2", n, len(e.Queues()))
				}
				time.Sleep(time.Hour)
				if _, late := c.ch.Overdue(); !late {
					t.Error("no delivery is late after an hour")
				}
			})
		})
	}
}

// TestClockThatWasSetBack has a message in the log from a time that is not yet: it
// waits for as long as its time to live, not until then.
func TestClockThatWasSetBack(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(24 * time.Hour) // the clock of the next bubble begins where this one's has
		publishLate(t, dir, 0)
	})
	synctest.Test(t, func(t *testing.T) { awaitLate(t, dir) })
}

// TestClockThatWasWrong has the clock set right after a start that found it a day
// behind: a message that was published then is not too old at the next start.
func TestClockThatWasWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		publishLate(t, dir, -24*time.Hour)
		awaitLate(t, dir)
	})
}

// publishLate leaves a message behind that is dead-lettered after a second.
func publishLate(t *testing.T, dir string, wrong time.Duration) {
	t.Helper()
	e := open(t, engine.Options{Dir: dir})
	e.SetClock(wrong)
	c := connect(t, e)
	c.declare("dead", nil)
	c.declare("late", wire.Table{"x-message-ttl": int32(1000), "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
	c.publish("late", "a")
	c.confirmed()
	c.close()
	c.must(e.Close())
}

func awaitLate(t *testing.T, dir string) {
	t.Helper()
	began := time.Now()
	c := connect(t, open(t, engine.Options{Dir: dir}))
	c.consume("dead", "x")
	c.await(func() bool { return len(c.got) == 1 })
	if took := time.Since(began); took != time.Second {
		t.Errorf("the message waited for %v, want a second", took)
	}
}
