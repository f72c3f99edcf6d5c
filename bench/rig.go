package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/internal/testenv"
)

// errUnreachable: there is no broker to measure with.
var errUnreachable = errors.New("no broker")

// rig is the broker, and a connection to prepare and inspect queues with.
type rig struct {
	node *testenv.Node // nil: somebody else's broker
	url  string
	conn *amqp091.Connection
}

// newRig uses the broker at url, or starts a private one when it is empty.
func newRig(ctx context.Context, url string) (*rig, error) {
	r := &rig{url: url}
	if url == "" {
		node, err := testenv.Start(ctx, testenv.Options{})
		if errors.Is(err, testenv.ErrNotInstalled) {
			return nil, fmt.Errorf("%w: %w, or use -url", errUnreachable, err)
		}
		if err != nil {
			return nil, err
		}
		r.node, r.url = node, node.URL
	}
	conn, err := amqp091.Dial(r.url)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", errUnreachable, err), r.close())
	}
	r.conn = conn
	return r, nil
}

func (r *rig) close() error {
	var errs []error
	if r.conn != nil && !r.conn.IsClosed() {
		errs = append(errs, r.conn.Close())
	}
	if r.node != nil {
		errs = append(errs, r.node.Stop())
	}
	return errors.Join(errs...)
}

// version is the broker's name and version.
func (r *rig) version() string {
	return fmt.Sprintf("%v %v", r.conn.Properties["product"], r.conn.Properties["version"])
}

// with lends f a channel; the broker closes a channel at an error.
func (r *rig) with(f func(*amqp091.Channel) error) error {
	ch, err := r.conn.Channel()
	if err != nil {
		return err
	}
	if err := f(ch); err != nil {
		return err
	}
	return ch.Close()
}

// declare creates q and the queue of its dead letters, as they are there when a
// worker starts in real life: that a new quorum queue elects a leader is not to be
// measured.
func (r *rig) declare(q broker.Queue) error {
	return errors.Join(r.declareOne(*q.Dead), r.declareOne(q))
}

func (r *rig) declareOne(q broker.Queue) error {
	return r.with(func(ch *amqp091.Channel) error {
		if _, err := ch.QueueDeclare(q.Name, q.Durable, false, false, false, amqp091.Table(q.Args)); err != nil {
			return err
		}
		if q.Exchange == "" {
			return nil
		}
		if err := ch.ExchangeDeclare(q.Exchange, amqp091.ExchangeDirect, q.Durable, false, false, false, nil); err != nil {
			return err
		}
		return ch.QueueBind(q.Name, q.BindingKey(), q.Exchange, false, nil)
	})
}

// fill publishes n messages to q and waits for all confirms.
func (r *rig) fill(ctx context.Context, sc *scenario, q broker.Queue, n int, confirmed func(int64)) error {
	s, err := amqp.Dialer{URL: r.url}.Dial(ctx)
	if err != nil {
		return err
	}
	answers := make(chan error, n) // room for all: the session must not be blocked
	for i := range n {
		raw, err := sc.codec.Encode(sc.message(i))
		if err != nil {
			return err
		}
		p := &broker.Publication{Exchange: q.Exchange, RoutingKey: q.BindingKey(), Body: raw.Body}
		p.ContentType, p.MessageID, p.Type, p.Headers = raw.ContentType, raw.MessageID, raw.Type, raw.Headers
		p.Persistent = q.Durable
		if err := s.Publish(ctx, p, func(err error) { answers <- err }); err != nil {
			return err
		}
		confirmed(int64(i))
	}
	for range n {
		if err := <-answers; err != nil {
			return err
		}
	}
	return s.Close(ctx)
}

// calm waits until the broker has done what it does after the last confirm, such
// as writing segments: until it uses less than a tenth of a processor. It gives
// up after a quarter of a minute.
func (r *rig) calm(ctx context.Context) error {
	if r.node == nil {
		return nil
	}
	const interval = 250 * time.Millisecond
	tick := time.NewTicker(interval)
	defer tick.Stop()
	last, err := r.node.CPU()
	for range 60 {
		if err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		var now time.Duration
		if now, err = r.node.CPU(); err == nil && now-last < interval/10 {
			return nil
		}
		last = now
	}
	return err
}

// cpu is the processor time that the broker has used, in seconds; nil for
// somebody else's.
func (r *rig) cpu() (*float64, error) {
	if r.node == nil {
		return nil, nil
	}
	d, err := r.node.CPU()
	seconds := d.Seconds()
	return &seconds, err
}

// errLeft: a run has not consumed everything, or has dead-lettered something.
var errLeft = errors.New("messages are left")

// finish removes q with its dead letters. The error wraps errLeft when there was
// something in them.
func (r *rig) finish(q broker.Queue) error {
	var errs []error
	for _, name := range []string{q.Name, q.Dead.Name} {
		left, err := r.remove(name)
		if err != nil {
			errs = append(errs, err)
		} else if left > 0 {
			errs = append(errs, fmt.Errorf("%w: %d in queue %s", errLeft, left, name))
		}
	}
	if q.Exchange != "" {
		errs = append(errs, r.with(func(ch *amqp091.Channel) error { return ch.ExchangeDelete(q.Exchange, false, false) }))
	}
	return errors.Join(errs...)
}

// remove deletes a queue, if there is one, and returns how many messages were in
// it.
func (r *rig) remove(queue string) (left int, err error) {
	err = r.with(func(ch *amqp091.Channel) error {
		left, err = ch.QueueDelete(queue, false, false, false)
		return err
	})
	return left, err
}
