package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/internal/testenv"
)

// rabbit is the other end of the queues: a publisher, and who looks into them.
type rabbit struct {
	t    testing.TB
	url  string
	conn *amqp091.Connection
	ch   *amqp091.Channel // in confirm mode
}

func dial(t testing.TB, url string) *rabbit {
	t.Helper()
	// With the 10 s of Dial a busy machine loses it.
	conn, err := amqp091.DialConfig(url, amqp091.Config{Heartbeat: patience, Locale: "en_US"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // a test may have killed its broker
	r := &rabbit{t: t, url: url, conn: conn}
	r.ch = r.channel()
	if err := r.ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rabbit) channel() *amqp091.Channel {
	r.t.Helper()
	ch, err := r.conn.Channel()
	if err != nil {
		r.t.Fatal(err)
	}
	return ch
}

// queue returns the name of a queue of the test's own. What instances declare for
// it is deleted when the test ends.
func (r *rabbit) queue(suffix string) string {
	r.t.Helper()
	name := testenv.Name(r.t) + suffix
	r.t.Cleanup(func() { r.remove(name) })
	return name
}

// remove deletes a queue, its dead-letter queue and its exchange. Each may be
// missing, and the broker gone.
func (r *rabbit) remove(name string) {
	conn, err := amqp091.Dial(r.url)
	if err != nil {
		return
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		return
	}
	_, _ = ch.QueueDelete(name, false, false, false)
	_, _ = ch.QueueDelete(dead(name), false, false, false)
	_ = ch.ExchangeDelete(name, false, false)
}

// dead is the dead-letter queue of a queue: documented in ADR 5.
func dead(queue string) string { return "magne.v1.dead." + queue }

// ready returns how many messages wait in the queue.
func (r *rabbit) ready(queue string) int {
	r.t.Helper()
	ch := r.channel()
	defer ch.Close()
	q, err := ch.QueueDeclarePassive(queue, false, false, false, false, nil)
	if err != nil {
		r.t.Fatalf("queue %q: %v", queue, err)
	}
	return q.Messages
}

// holds waits until n messages wait in the queue.
func (r *rabbit) holds(queue string, n int) {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("%d messages in %s", n, queue), func() (bool, any) {
		got := r.ready(queue)
		return got == n, got
	})
}

// publish sends a message to a queue and waits for the confirm.
func (r *rabbit) publish(queue string, p amqp091.Publishing) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answer, err := r.ch.PublishWithDeferredConfirmWithContext(ctx, "", queue, true, false, p)
	if err == nil {
		var ok bool
		if ok, err = answer.WaitContext(ctx); err == nil && !ok {
			err = fmt.Errorf("refused")
		}
	}
	if err != nil {
		r.t.Fatalf("publish to %q: %v", queue, err)
	}
}

// task is a message for the json codec with one argument.
func (r *rabbit) task(queue, name string, arg any) {
	r.t.Helper()
	r.publish(queue, amqp091.Publishing{
		ContentType: "application/json", DeliveryMode: amqp091.Persistent,
		Body: fmt.Appendf(nil, `{"task":%q,"args":[%v]}`, name, arg),
	})
}

// take removes n messages from the queue, and fails when they do not come or when
// there are more.
func (r *rabbit) take(queue string, n int) []amqp091.Delivery {
	r.t.Helper()
	ch := r.channel()
	defer ch.Close()
	var got []amqp091.Delivery
	eventually(r.t, fmt.Sprintf("%d messages to take from %s", n, queue), func() (bool, any) {
		for {
			d, ok, err := ch.Get(queue, true)
			if err != nil {
				r.t.Fatalf("get from %q: %v", queue, err)
			}
			if !ok {
				return len(got) >= n, len(got)
			}
			got = append(got, d)
		}
	})
	if len(got) > n {
		r.t.Fatalf("messages in %s: got %d, want %d", queue, len(got), n)
	}
	return got
}

// wrongPassword is the URL with another password.
func wrongPassword(t testing.TB, url, password string) string {
	t.Helper()
	_, rest, ok := strings.Cut(url, "@")
	if !ok {
		t.Fatalf("no user in the URL of the test broker")
	}
	return "amqp://guest:" + password + "@" + rest
}

// begin is what most tests begin with: a broker, and a queue on it.
func begin(t *testing.T) (r *rabbit, queue string) {
	t.Helper()
	t.Parallel()
	r = dial(t, testenv.RabbitMQ(t))
	return r, r.queue("")
}

// beginNamed is begin with a queue whose name the test needs to be that one; no
// two tests may ask for the same.
func beginNamed(t *testing.T, queue string) (*rabbit, string) {
	t.Helper()
	r := dial(t, testenv.RabbitMQ(t))
	r.remove(queue)
	t.Cleanup(func() { r.remove(queue) })
	return r, queue
}
