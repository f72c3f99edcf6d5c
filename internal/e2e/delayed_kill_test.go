package e2e_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/internal/ladder"
	"github.com/magne-actors/magne-actors/internal/testenv"
)

// arrived counts what comes to a queue while its broker dies and comes back.
type arrived struct {
	mu   sync.Mutex
	seen map[string]int
}

func (a *arrived) count() (distinct, all int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, n := range a.seen {
		all += n
	}
	return len(a.seen), all
}

// consume takes from the queue until the connection ends.
func (a *arrived) consume(url, queue string) error {
	conn, err := amqp091.Dial(url)
	if err != nil {
		return err
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	if err := ch.Qos(100, 0, false); err != nil {
		return err
	}
	in, err := ch.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	for d := range in {
		a.mu.Lock()
		a.seen[d.MessageId]++
		a.mu.Unlock()
		if err := d.Ack(false); err != nil {
			return err
		}
	}
	return nil
}

// until consumes until n different messages have come, over however many connections.
func (a *arrived) until(t testing.TB, url, queue string, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*patience)
	defer cancel()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		ended := make(chan error, 1)
		go func() { ended <- a.consume(url, queue) }()
		for running := true; running; {
			select {
			case <-ended:
				running = false
			case <-tick.C:
			case <-ctx.Done():
				got, _ := a.count()
				t.Fatalf("%d of %d messages have come: %d lost", got, n, n-got)
			}
			if got, _ := a.count(); got == n {
				return
			}
		}
		<-tick.C
	}
}

// publishLater publishes n messages that are due in 0.5 to 20 s, and returns when
// all are confirmed.
func publishLater(t testing.TB, url, queue string, n int) {
	t.Helper()
	s, err := amqp.Dialer{URL: url}.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	work := broker.Queue{Name: queue, Durable: true, Args: map[string]any{"x-queue-type": "quorum"}}
	top := ladder.Topology()
	top.Queues = append(top.Queues, work)
	top.Bindings = append(top.Bindings, ladder.Exit(queue).Bindings...)
	if err := s.Apply(t.Context(), top); err != nil {
		t.Fatal(err)
	}
	answers := make(chan error, n)
	for i := range n {
		p := &broker.Publication{}
		p.MessageID, p.Persistent = fmt.Sprint(i), true
		p.Exchange, p.RoutingKey = ladder.Route(500*time.Millisecond+time.Duration(i)*19500*time.Millisecond/time.Duration(n), queue)
		if err := s.Publish(t.Context(), p, func(err error) { answers <- err }); err != nil {
			t.Fatal(err)
		}
	}
	for range n {
		if err := <-answers; err != nil {
			t.Fatal(err)
		}
	}
}

// killTwice kills the broker twice while delayed messages wait on it and come.
func killTwice(t *testing.T, url, queue string, kill, again func()) {
	t.Helper()
	const n = 3000
	publishLater(t, url, queue, n)
	a := &arrived{seen: map[string]int{}}
	for _, wait := range []time.Duration{time.Second, 4 * time.Second} {
		go func() { _ = a.consume(url, queue) }() // until the broker is killed
		<-time.After(wait)
		kill()
		early, _ := a.count()
		t.Logf("killed after %d had come", early)
		again()
	}
	begin := time.Now()
	a.until(t, url, queue, n)
	_, all := a.count()
	t.Logf("%d messages came, 0 lost, %d twice, the last %v after the second start", n, all-n, time.Since(begin).Round(time.Millisecond))
}

// TestDelayedRabbitKilled: what RabbitMQ has confirmed comes, although it is killed
// twice. Its node has dead_letter_worker_publisher_confirm_timeout at 10 s, as
// docs/delays.md says.
func TestDelayedRabbitKilled(t *testing.T) {
	t.Parallel()
	n := testenv.Private(t, testenv.Options{})
	killTwice(t, n.URL, testenv.Name(t), func() {
		if err := n.Kill(); err != nil {
			t.Fatal(err)
		}
	}, func() {
		if err := n.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// TestDelayedEmbeddedKilled: the same of the embedded broker.
func TestDelayedEmbeddedKilled(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	killTwice(t, b.url, "work", func() {
		if err := b.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-b.exited
	}, func() { b.again(t) })
}
