package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/engine"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

func TestMessageTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, open(t, engine.Options{}))
		c.declare("q", wire.Table{"x-message-ttl": int32(100)})
		c.publish("q", "a")
		time.Sleep(50 * time.Millisecond)
		c.publish("q", "b")
		c.send("", "q", wire.Properties{Expiration: "10"}, "short") // waits behind b
		time.Sleep(49 * time.Millisecond)
		if n := info(t, c.e, "q").Ready; n != 3 {
			t.Errorf("got %d messages, want 3", n)
		}
		time.Sleep(2 * time.Millisecond)
		if n := info(t, c.e, "q").Ready; n != 2 {
			t.Errorf("got %d messages after a expired, want 2", n)
		}
		time.Sleep(50 * time.Millisecond)
		if n := info(t, c.e, "q").Ready; n != 0 {
			t.Errorf("got %d messages, want none", n)
		}
	})
}

func TestExpirationOfTheNextHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, open(t, engine.Options{}))
		c.declare("q", nil)
		c.publish("q", "a")
		c.send("", "q", wire.Properties{Expiration: "100"}, "b")
		time.Sleep(time.Second)
		if n := info(t, c.e, "q").Ready; n != 2 {
			t.Errorf("got %d messages, want 2: b is not the head", n)
		}
		if got := c.get("q"); got != "a" {
			t.Errorf("got %q, want a", got)
		}
		if n := info(t, c.e, "q").Ready; n != 0 {
			t.Errorf("got %d messages, want none", n)
		}
	})
}

func TestGetDoesNotCountWhatExpired(t *testing.T) {
	c := connect(t, open(t, engine.Options{}))
	c.declare("q", nil)
	c.publish("q", "a")
	c.send("", "q", wire.Properties{Expiration: "0"}, "b")
	_, err := c.ch.Get("q", false, func(d *engine.Delivery) {
		if d.Remaining != 0 {
			t.Errorf("got %d messages left, want none", d.Remaining)
		}
	})
	c.must(err)
}

func TestTTLZeroIsDeliveredAtOnceOrNever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, open(t, engine.Options{}))
		c.declare("q", wire.Table{"x-message-ttl": int32(0)})
		c.publish("q", "never")
		c.consume("q", "x")
		c.publish("q", "at once")
		c.expect("at once")
		c.must(c.ch.Nack(1, false, true)) // its time is up when it comes back
		c.expect()
	})
}

func TestQueueExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, open(t, engine.Options{}))
		c.declare("q", wire.Table{"x-expires": int32(100)})
		there := func() bool { return len(c.e.Queues()) == 1 }
		time.Sleep(60 * time.Millisecond)
		c.get("q")
		time.Sleep(60 * time.Millisecond)
		c.consume("q", "x")
		time.Sleep(time.Second)
		if !there() {
			t.Fatal("the queue is gone in spite of its consumer")
		}
		c.ch.Cancel("x")
		time.Sleep(99 * time.Millisecond)
		if !there() {
			t.Fatal("the queue is gone too early")
		}
		time.Sleep(2 * time.Millisecond)
		if there() {
			t.Fatal("the queue is still there")
		}
	})
}

func TestConsumerTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, open(t, engine.Options{ConsumerTimeout: time.Minute}))
		c.declare("q", nil)
		c.publish("q", "a", "b")
		c.consume("q", "x")
		time.Sleep(time.Minute)
		if _, late := c.ch.Overdue(); late {
			t.Error("late after one minute")
		}
		c.must(c.ch.Ack(1, false))
		time.Sleep(time.Millisecond)
		if timeout, late := c.ch.Overdue(); !late || timeout != time.Minute {
			t.Errorf("got %v, %v, want b late after one minute", timeout, late)
		}
		c.must(c.ch.Ack(2, false))
		if _, late := c.ch.Overdue(); late {
			t.Error("late though all is settled")
		}
	})
}

// death is what a dead letter tells of its past.
func death(t *testing.T, d delivery) string {
	t.Helper()
	p, err := wire.ParseProperties(d.props)
	if err != nil {
		t.Fatal(err)
	}
	var s strings.Builder
	s.WriteString(d.Body + " " + d.Exchange + " " + d.Key)
	deaths, _ := p.Headers["x-death"].([]any)
	for _, v := range deaths {
		x := v.(wire.Table)
		fmt.Fprintf(&s, " [%v %v %v]", x["count"], x["reason"], x["queue"])
	}
	return s.String()
}

func (c *client) expectDeaths(want ...string) {
	c.t.Helper()
	var got []string
	for _, d := range c.takeAll() {
		got = append(got, death(c.t.(*testing.T), d))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		c.t.Errorf("dead letters (-want +got):\n%s", diff)
	}
}

func TestDeadLetters(t *testing.T) {
	t.Run("memory", func(t *testing.T) { testDeadLetters(t, engine.Options{BodyMemory: -1}) })
	t.Run("disk", func(t *testing.T) { testDeadLetters(t, engine.Options{BodyMemory: -1, Dir: t.TempDir()}) })
}

func testDeadLetters(t *testing.T, o engine.Options) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, o)
		c := connect(t, e)
		c.declare("dead", nil)
		c.must(e.DeclareExchange(engine.ExchangeSpec{Name: "dlx", Type: "fanout", Durable: true}, false))
		c.must(e.BindQueue(c.owner, "dead", "dlx", "", nil))
		c.declare("q", wire.Table{
			"x-dead-letter-exchange": "dlx", "x-max-length": int32(2), "x-message-ttl": int32(1000),
			"x-queue-type": "quorum", "x-delivery-limit": int32(1),
		})
		d := connect(t, e)
		d.consume("dead", "dead", noAck)

		c.publish("q", "a", "b", "c")
		d.expectDeaths("a dlx q [1 maxlen q]")
		c.consume("q", "x")
		c.expect("b", "c")
		c.must(c.ch.Reject(1, false))
		d.expectDeaths("b dlx q [1 rejected q]")
		c.must(c.ch.Reject(2, true))
		c.expect("c")
		c.must(c.ch.Reject(3, true))
		c.expect()
		d.expectDeaths("c dlx q [1 delivery_limit q]")
		c.ch.Cancel("x")
		c.publish("q", "d", "e")
		time.Sleep(time.Second)
		synctest.Wait()
		d.expectDeaths("d dlx q [1 expired q]", "e dlx q [1 expired q]")
		for _, q := range e.Queues() {
			if q.Ready+q.Unacked+q.Persistent+q.InMemory != 0 || q.BodyBytes != 0 {
				t.Errorf("got %+v, want nothing in it", q)
			}
		}
	})
}

func TestDeadLetterCycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, open(t, engine.Options{}))
		// q -> r -> q, by TTL: nobody rejects, so that the second round is the last.
		for _, q := range [][2]string{{"q", "r"}, {"r", "q"}} {
			c.declare(q[0], wire.Table{
				"x-dead-letter-exchange": "", "x-dead-letter-routing-key": q[1], "x-message-ttl": int32(10),
			})
		}
		c.publish("q", "a")
		time.Sleep(15 * time.Millisecond)
		if n := info(t, c.e, "r").Ready; n != 1 {
			t.Errorf("got %d messages in r, want 1", n)
		}
		time.Sleep(time.Second)
		for _, q := range c.e.Queues() {
			if q.Ready != 0 {
				t.Errorf("got %d messages in %s, want none", q.Ready, q.Name)
			}
		}
		// By rejecting it goes round for ever.
		c.declare("retry", wire.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "wait"})
		c.declare("wait", wire.Table{
			"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "retry", "x-message-ttl": int32(10),
		})
		c.consume("retry", "x")
		c.publish("retry", "b")
		for tag := range uint64(3) {
			c.expectDeaths([]string{
				"b  retry", "b  retry [1 expired wait] [1 rejected retry]", "b  retry [2 expired wait] [2 rejected retry]",
			}[tag])
			c.must(c.ch.Reject(tag+1, false))
			time.Sleep(15 * time.Millisecond)
		}
	})
}

func TestBlindCopiesOfDeadLetters(t *testing.T) {
	for _, o := range []engine.Options{{}, {Dir: t.TempDir(), BodyMemory: -1}} {
		c := connect(t, open(t, o))
		c.declare("q", wire.Table{"x-dead-letter-exchange": ""})
		c.declare("copy", nil)
		c.declare("blind", nil)
		c.send("", "q", wire.Properties{
			DeliveryMode: wire.Persistent, Headers: wire.Table{"CC": []any{"copy"}, "BCC": []any{"blind"}},
		}, "m")
		c.consume("q", "x")
		c.must(c.ch.Reject(1, false)) // comes again: rejected is no cycle
		for _, q := range []string{"copy", "blind"} {
			c.expectQueue(q, "m", "m")
		}
		for _, d := range c.takeAll() {
			p, err := wire.ParseProperties(d.props)
			c.must(err)
			if _, ok := p.Headers["BCC"]; ok {
				t.Errorf("%s: got the header BCC", d.Body)
			}
		}
	}
}

func TestRejectPublish(t *testing.T) {
	c := connect(t, open(t, engine.Options{}))
	c.declare("dead", nil)
	c.declare("q", wire.Table{"x-max-length-bytes": int32(5), "x-overflow": "reject-publish"})
	c.declare("r", wire.Table{
		"x-max-length": int32(1), "x-overflow": "reject-publish-dlx",
		"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead",
	})
	for _, q := range []string{"q", "r"} {
		c.must(c.e.BindQueue(c.owner, q, "amq.fanout", "", nil))
	}
	for _, b := range []string{"four", "ab", "c", "d"} {
		c.send("amq.fanout", "", wire.Properties{}, b)
	}
	if diff := cmp.Diff(map[uint64]bool{1: true, 2: false, 3: false, 4: false}, c.confirms); diff != "" {
		t.Error(diff)
	}
	c.expectQueue("q", "four", "c")
	c.expectQueue("r", "four")
	c.expectQueue("dead", "ab", "c", "d")
}

// More dead letters than one batch keep their order.
func TestManyDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, open(t, engine.Options{}))
		c.declare("dead", nil)
		c.declare("q", wire.Table{
			"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead", "x-message-ttl": int32(10),
		})
		var want []string
		for i := range 1000 {
			want = append(want, fmt.Sprint(i))
		}
		c.publish("q", want...)
		time.Sleep(15 * time.Millisecond)
		c.expectQueue("dead", want...)
	})
}
