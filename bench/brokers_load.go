package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// load publishes to one durable queue and consumes from it, with the plain
// client.
type load struct {
	conn  *amqp091.Connection
	ch    *amqp091.Channel
	queue amqp091.Queue
}

// loadWindow is how many publishes may wait for their confirms, and how many
// deliveries for their acks.
const loadWindow = 1000

// errRefused: the broker has said no to a message.
var errRefused = errors.New("the broker refused a message")

func openLoad(url, kind string) (*load, error) {
	conn, err := amqp091.Dial(url)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	c := &load{conn: conn}
	if c.ch, err = conn.Channel(); err == nil {
		c.queue, err = c.ch.QueueDeclare("bench", true, false, false, false, amqp091.Table{amqp091.QueueTypeArg: kind})
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

func (c *load) close() { _ = c.conn.Close() } // twice is an error, and none

// expect waits until n messages are in the queue: RabbitMQ counts those of a quorum
// queue some time after its start.
func (c *load) expect(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		q, err := c.ch.QueueDeclarePassive(c.queue.Name, true, false, false, false, nil)
		if err != nil || q.Messages == n {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d messages after the restart, want %d: %w", q.Messages, n, context.Cause(ctx))
		}
	}
}

// publish returns the confirmed messages per second of n.
func (c *load) publish(n int) (float64, error) {
	ch, err := c.conn.Channel()
	if err != nil {
		return 0, err
	}
	defer func() { _ = ch.Close() }() // with the connection otherwise
	if err := ch.Confirm(false); err != nil {
		return 0, err
	}
	confirms := ch.NotifyPublish(make(chan amqp091.Confirmation, loadWindow))
	message := amqp091.Publishing{DeliveryMode: amqp091.Persistent, Body: bytes.Repeat([]byte{'x'}, noopBody)}
	start, open := time.Now(), 0
	for range n {
		if open == loadWindow {
			if err := confirmed(confirms); err != nil {
				return 0, err
			}
			open--
		}
		if err := ch.PublishWithContext(context.Background(), "", c.queue.Name, false, false, message); err != nil {
			return 0, err
		}
		open++
	}
	for ; open > 0; open-- {
		if err := confirmed(confirms); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(start).Seconds(), nil
}

func confirmed(confirms <-chan amqp091.Confirmation) error {
	if c, ok := <-confirms; !ok || !c.Ack {
		return errRefused
	}
	return nil
}

// consume returns the messages per second of n that are received and acked, each
// by a frame of its own.
func (c *load) consume(n int) (float64, error) {
	ch, err := c.conn.Channel()
	if err != nil {
		return 0, err
	}
	defer func() { _ = ch.Close() }() // with the connection otherwise
	if err := ch.Qos(loadWindow, 0, false); err != nil {
		return 0, err
	}
	start := time.Now()
	deliveries, err := ch.Consume(c.queue.Name, rawConsumer, false, false, false, false, nil)
	if err != nil {
		return 0, err
	}
	for range n {
		d, ok := <-deliveries
		if !ok {
			return 0, errors.New("the broker has closed the channel")
		}
		if err := d.Ack(false); err != nil {
			return 0, err
		}
	}
	// The answer comes when the acks have been read.
	if err := ch.Cancel(rawConsumer, false); err != nil {
		return 0, err
	}
	return float64(n) / time.Since(start).Seconds(), nil
}
