package ladder_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/broker/embedded"
	"github.com/magne-actors/magne-actors/internal/ladder"
	"github.com/magne-actors/magne-actors/internal/testenv"
)

// onBoth runs a test on RabbitMQ and on the embedded broker, each with the ladder.
func onBoth(t *testing.T, run func(*testing.T, amqp.Dialer, broker.Session)) {
	dialers := map[string]func(*testing.T) amqp.Dialer{
		"rabbitmq": func(t *testing.T) amqp.Dialer { return amqp.Dialer{URL: testenv.RabbitMQ(t)} },
		"embedded": func(t *testing.T) amqp.Dialer {
			b, err := embedded.Open(embedded.Options{Dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			})
			return amqp.Dialer{URL: "amqp://guest:guest@embedded/", NetDial: func(ctx context.Context, _, _ string) (net.Conn, error) { return b.Dial(ctx) }}
		},
	}
	for name, dialer := range dialers {
		t.Run(name, func(t *testing.T) {
			d := dialer(t)
			s := session(t, d)
			for range 2 { // the second time everything is there
				if err := s.Apply(t.Context(), ladder.Topology()); err != nil {
					t.Fatal(err)
				}
			}
			run(t, d, s)
		})
	}
}

func session(t *testing.T, d amqp.Dialer) broker.Session {
	t.Helper()
	s, err := d.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = s.Close(ctx) // the consumers are not settled
	})
	return s
}

// work declares a queue that the ladder leads to and consumes from it.
func work(t *testing.T, s broker.Session, suffix string) (string, broker.Consumer) {
	t.Helper()
	q := broker.Queue{Name: testenv.Name(t) + suffix, Args: map[string]any{"x-expires": int32(600_000)}}
	c, err := s.Consume(t.Context(), broker.Source{Queue: q, Credit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(t.Context(), ladder.Exit(q.Name)); err != nil {
		t.Fatal(err)
	}
	return q.Name, c
}

// delayed is a message on the ladder.
type delayed struct {
	due time.Time
	body,
	exchange, key string
}

func publish(t *testing.T, s broker.Session, list []delayed) {
	t.Helper()
	answers := make(chan error, len(list))
	for _, m := range list {
		p := &broker.Publication{Exchange: m.exchange, RoutingKey: m.key, Body: []byte(m.body)}
		p.Persistent = true
		if err := s.Publish(t.Context(), p, func(err error) { answers <- err }); err != nil {
			t.Fatal(err)
		}
	}
	for range list {
		if err := <-answers; err != nil {
			t.Fatal(err)
		}
	}
}

func next(t *testing.T, c broker.Consumer) *broker.Delivery {
	t.Helper()
	select {
	case d, ok := <-c.Deliveries():
		if !ok {
			<-c.Done()
			t.Fatalf("the consumer has ended: %v", c.Err())
		}
		if err := c.Settle(d.Tag, broker.Ack); err != nil {
			t.Fatal(err)
		}
		return d
	case <-time.After(2 * time.Minute):
		t.Fatal("nothing was delivered for two minutes")
		return nil
	}
}

// TestDelays sends messages by one to four queues of the ladder. None may come early,
// and none twice. How late they are is logged: internal/e2e compares it.
func TestDelays(t *testing.T) {
	onBoth(t, func(t *testing.T, _ amqp.Dialer, s broker.Session) {
		const n, longest = 300, 6 * time.Second
		queue, c := work(t, s, ".with.words")
		var list []delayed
		begin := time.Now()
		for i := range n {
			delay := rand.N(longest)
			m := delayed{due: begin.Add(delay), body: fmt.Sprint(i)}
			m.exchange, m.key = ladder.Route(delay, queue)
			if i%3 == 0 {
				m.due = begin.Add(ladder.RetryDelay(delay))
				m.exchange, m.key = ladder.RouteRetry(delay, queue)
			}
			list = append(list, m)
		}
		publish(t, s, list)
		slow := time.Since(begin) // the last one may have been published so late
		late := make([]time.Duration, 0, n)
		seen := map[string]bool{}
		for range n {
			d := next(t, c)
			i := slices.IndexFunc(list, func(m delayed) bool { return m.body == string(d.Body) })
			switch by := time.Since(list[i].due); {
			case by < 0:
				t.Errorf("%s is early by %v", list[i].key, -by)
			case seen[list[i].body]:
				t.Errorf("%s came twice", list[i].key)
			default:
				late = append(late, by)
			}
			seen[list[i].body] = true
			if d.RoutingKey != list[i].key {
				t.Errorf("got key %q, want the old one, %q", d.RoutingKey, list[i].key)
			}
		}
		slices.Sort(late)
		t.Logf("late by %v in the middle, %v at most; publishing took %v", late[len(late)/2], late[len(late)-1], slow)
	})
}

// TestDestinationMissing: what has no queue to go to is found again, and others pass,
// however much of it there is.
func TestDestinationMissing(t *testing.T) {
	onBoth(t, func(t *testing.T, _ amqp.Dialer, s broker.Session) {
		const n = 100 // RabbitMQ's dead-lettering has 32 on their way at once
		queue, c := work(t, s, ".there")
		gone := testenv.Name(t) + ".gone"
		var list []delayed
		for i := range n {
			for _, to := range []string{gone, queue} {
				m := delayed{body: fmt.Sprint(to, i)}
				m.exchange, m.key = ladder.Route(ladder.Unit*time.Duration(1+i%20), to)
				list = append(list, m)
			}
		}
		publish(t, s, list)
		for range n {
			next(t, c)
		}
		lost, err := s.Consume(t.Context(), broker.Source{Queue: broker.Queue{Name: ladder.UndeliveredQueue, Declare: broker.DeclarePassive}, Credit: 2 * n})
		if err != nil {
			t.Fatal(err)
		}
		for range n {
			m := next(t, lost)
			if _, to, ok := ladder.Parse(m.RoutingKey); !ok || to != gone {
				t.Errorf("undelivered: %q", m.RoutingKey)
			}
		}
	})
}

// TestLook: what was looked at is due when it was before, in front of what was
// published later.
func TestLook(t *testing.T) {
	onBoth(t, func(t *testing.T, d amqp.Dialer, s broker.Session) {
		a, err := d.Admin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { a.Close(context.Background()) })
		queue, c := work(t, s, "")
		// The messages must not be due while it looks. That takes a moment, but on a busy
		// machine it may be more than the first wait: 12, 30 and 96 s.
		for _, at := range [][2]int{{1, 6}, {1, 15}, {2, 3}} {
			if lookInTime(t, s, a, c, queue, at[0], at[1]) {
				return
			}
		}
		t.Error("to look takes longer than the messages wait")
	})
}

// lookInTime has messages wait in the queue of the digit and looks at them. It returns
// false when they were due by then, so that nothing can be said.
func lookInTime(t *testing.T, s broker.Session, a *amqp.Admin, c broker.Consumer, queue string, level, digit int) bool {
	t.Helper()
	var early, later []delayed
	for i := range 20 {
		m := delayed{body: fmt.Sprint("early ", i)}
		m.exchange, m.key = ladder.Route(ladder.Wait(level, digit), queue)
		early = append(early, m)
		m.body = fmt.Sprint("later ", i)
		later = append(later, m)
	}
	begin := time.Now()
	inTime := func() bool { return time.Since(begin) <= ladder.Wait(level, digit)-2*time.Second }
	publish(t, s, early)
	for range 3 {
		look, err := a.Take(t.Context(), ladder.DelayQueue(level, digit))
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			if _, err := look.Next(); err != nil && inTime() {
				t.Fatal(err)
			}
		}
		publish(t, s, later[:1])
		later = append(later[1:], later[0])
		if err := look.Close(); err != nil {
			t.Fatal(err)
		}
	}
	looked := inTime()
	for i := range early {
		if got := string(next(t, c).Body); got != early[i].body && looked {
			t.Fatalf("got %q, want %q", got, early[i].body)
		}
	}
	for range 3 {
		next(t, c)
	}
	return looked
}
