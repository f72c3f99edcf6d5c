package amqp

import (
	"context"

	"github.com/magne-actors/magne-actors/broker"
)

// cancelLanes ends what the lanes consume, and returns when the broker has agreed.
//
// Each lane is cancelled before its channel is closed, also when the broker has
// cancelled it: amqp091-go answers basic.cancel of RabbitMQ 4.3.7 with
// basic.cancel-ok, and if that followed our channel.close the broker would close the
// connection (504). Behind its answer to our basic.cancel there is none to come.
func (c *consumer) cancelLanes() error {
	c.last.RLock()
	defer c.last.RUnlock()
	if c.over {
		return broker.ErrStale
	}
	return c.each(c.lanes, func(l *lane) error {
		if l.ch == nil {
			return nil // never opened
		}
		return l.ch.Cancel(l.tag, false)
	})
}

// resign follows the broker, which has ended a lane, with the others, and hands back
// what they hold.
func (c *consumer) resign() {
	select {
	case <-c.started:
	case <-c.done:
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), maxGrace)
	defer cancel()
	_ = c.Cancel(ctx) // that of the lane which has ended may fail
	if ctx.Err() == nil {
		_ = c.handBack(ctx) // else it is back when the channels are closed
	}
}

// handBack takes no more settlements, sends those that were taken, and returns what is
// unsettled to the queue. The end of the channels would return it as well, but RabbitMQ
// takes that for a failure of the consumer: from 4.3 on it counts towards the
// x-delivery-limit of each of the messages, and a basic.nack does not. The lanes have
// been cancelled, or the messages would come again on them.
func (c *consumer) handBack(ctx context.Context) error {
	c.last.Lock()
	defer c.last.Unlock()
	if c.over {
		return nil
	}
	c.over = true
	c.settler.stop()
	if err := c.settler.flush(ctx); err != nil {
		return err
	}
	for _, l := range c.lanes {
		if l.ch != nil {
			_ = l.ch.Nack(0, true, true) // it fails with its channel: all is back then
		}
	}
	return nil
}
