package faults

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// load publishes numbered messages at a steady rate, each with a confirm, and
// keeps the books. It has connections of its own, past the tap and the network: a
// fault of the network is none of the publisher's.
type load struct {
	books *accounts
	url   string
	queue string
	pace  *time.Ticker // one message for each tick, whoever takes it

	cancel context.CancelFunc
	wg     sync.WaitGroup
}

const (
	// So many work side by side; each waits for its confirm.
	publishers, soakPublishers = 8, 32
	// confirmTimeout is how long one waits. Then the outcome is unknown.
	confirmTimeout = 5 * time.Second
	redial         = 50 * time.Millisecond
)

// newLoad begins to publish perSecond messages to the queue, if so many publishers
// can, until stop.
func newLoad(ctx context.Context, books *accounts, url, queue string, perSecond, publishers int) *load {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l := &load{books: books, url: url, queue: queue, cancel: cancel, pace: time.NewTicker(time.Second / time.Duration(perSecond))}
	for range publishers {
		l.wg.Go(func() {
			for ctx.Err() == nil {
				l.publish(ctx)
				pause(ctx, redial)
			}
		})
	}
	return l
}

// stop ends the load and waits for the outcome of what is underway.
func (l *load) stop() {
	l.cancel()
	l.wg.Wait()
	l.pace.Stop()
}

// pause waits; it returns false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// publish is one connection from its beginning to its end.
func (l *load) publish(ctx context.Context) {
	conn, raw, err := dialRaw(l.url)
	if err != nil {
		return
	}
	defer raw.Close() // Close of the library may wait for a broker that is frozen
	ch, err := conn.Channel()
	if err != nil || ch.Confirm(false) != nil {
		return
	}
	returns := ch.NotifyReturn(make(chan amqp091.Return, 1))
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.pace.C:
		}
		n := l.books.publish()
		o := publishOne(ctx, ch, returns, l.queue, n)
		l.books.answered(n, o)
		if o == unknown {
			return
		}
	}
}

// publishOne publishes a number and waits for what becomes of it.
func publishOne(ctx context.Context, ch *amqp091.Channel, returns <-chan amqp091.Return, queue string, n int) outcome {
	// Who stops the load waits for the answer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), confirmTimeout)
	defer cancel()
	answer, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", queue, true, false, amqp091.Publishing{
		ContentType: "application/json", DeliveryMode: amqp091.Persistent,
		MessageId: fmt.Sprintf("fault-%d", n),
		Body:      fmt.Appendf(nil, `{"task":"hook","args":[%d]}`, n),
	})
	if err != nil {
		return unknown
	}
	ok, err := answer.WaitContext(ctx)
	select {
	case <-returns: // it comes before the confirm
		return refused
	default:
	}
	switch {
	case err != nil:
		return unknown
	case ok:
		return confirmed
	default:
		// The library says no, too, for all that it had no answer to.
		return unknown
	}
}

// dialRaw connects and returns the socket, too: to close it when the library cannot.
func dialRaw(url string) (*amqp091.Connection, net.Conn, error) {
	var raw net.Conn
	conn, err := amqp091.DialConfig(url, amqp091.Config{
		Heartbeat: 2 * time.Second,
		Dial: func(network, addr string) (net.Conn, error) {
			c, err := net.DialTimeout(network, addr, 2*time.Second)
			if err != nil {
				return nil, err
			}
			// Of the handshake only: the library sets deadlines of its own later.
			if err := c.SetDeadline(time.Now().Add(3 * time.Second)); err != nil {
				return nil, err
			}
			raw = deadlined{c}
			return raw, nil
		},
	})
	if err != nil {
		if raw != nil {
			_ = raw.Close()
		}
		return nil, nil, fmt.Errorf("faults: publisher: %w", err)
	}
	return conn, raw, nil
}

// deadlined is a connection on which a write does not wait for ever.
type deadlined struct{ net.Conn }

func (d deadlined) Write(b []byte) (int, error) {
	if err := d.SetWriteDeadline(time.Now().Add(confirmTimeout)); err != nil {
		return 0, err
	}
	return d.Conn.Write(b)
}
