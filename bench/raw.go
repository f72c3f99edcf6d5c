package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/task/builtin"
)

// ackEvery is how many deliveries the raw noop loop acks with one frame, where
// the prefetch allows it.
const ackEvery = 50

// rawLoop is a consumer as people write it: one connection, one channel.
type rawLoop struct {
	conn       *amqp091.Connection
	ch         *amqp091.Channel
	deliveries <-chan amqp091.Delivery
}

const rawConsumer = "bench"

func openRaw(j *job, prefetch int) (*rawLoop, error) {
	if prefetch > 65535 {
		prefetch = 0 // a channel's prefetch has 16 bits: more at once is no limit at all
	}
	conn, err := amqp091.Dial(j.URL)
	if err != nil {
		return nil, err
	}
	ch, err := conn.Channel()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if err := ch.Qos(prefetch, 0, false); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	deliveries, err := ch.Consume(j.Queue, rawConsumer, false, false, false, false, nil)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &rawLoop{conn, ch, deliveries}, nil
}

// next blocks until there is a delivery.
func (r *rawLoop) next() (amqp091.Delivery, error) {
	d, ok := <-r.deliveries
	if !ok {
		return d, errors.New("the broker has closed the channel")
	}
	return d, nil
}

// close waits for the answer to basic.cancel: it comes when the acks have reached
// the queue. A channel that is closed before that may lose them.
func (r *rawLoop) close() error {
	err := r.ch.Cancel(rawConsumer, false)
	return errors.Join(err, r.conn.Close())
}

// rawNoop receives and acks, and does not even look at the body.
func rawNoop(_ context.Context, j *job, m *meter) error {
	m.start()
	r, err := openRaw(j, j.High)
	if err != nil {
		return err
	}
	unacked, batch := 0, min(ackEvery, j.High)
	for i := range j.N {
		d, err := r.next()
		if err != nil {
			return err
		}
		unacked++
		m.inFlight.add(1)
		if unacked < batch && i < j.N-1 {
			continue
		}
		if err := d.Ack(true); err != nil {
			return err
		}
		m.inFlight.add(-int64(unacked))
		m.settle(unacked)
		unacked = 0
	}
	return r.close()
}

// rawLatency runs each task in a goroutine that acks it by itself.
func rawLatency(_ context.Context, j *job, m *meter) error {
	draw := drawer(j.N)
	m.start()
	r, err := openRaw(j, j.High)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	failed := make(chan error, 1)
	for range j.N {
		d, err := r.next()
		if err != nil {
			return err
		}
		m.inFlight.add(1)
		wg.Go(func() {
			m.running.add(1)
			<-time.After(builtin.LatencyDuration(draw()))
			m.running.add(-1)
			if err := d.Ack(false); err != nil {
				select {
				case failed <- fmt.Errorf("ack: %w", err):
				default: // one is enough
				}
			}
			m.inFlight.add(-1)
			m.settle(1)
		})
	}
	wg.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return r.close()
	}
}
