package amqp

import (
	"context"
)

// resign follows the broker, which has cancelled the consumer of one lane, with the
// others, and hands back what they hold.
func (c *consumer) resign(cancelled *lane) {
	select {
	case <-c.started:
	case <-c.done:
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), maxGrace)
	defer cancel()
	_ = c.handBack(ctx, cancelled) // else it is back when the channels are closed
}

// handBack takes no more settlements, sends those that were taken, and returns what is
// unsettled to the queue. The end of the channels would return it as well, but RabbitMQ
// takes that for a failure of the consumer: from 4.3 on it counts towards the
// x-delivery-limit of each of the messages, and a basic.nack does not.
//
// The lanes are not consuming any more, or the messages would come again on them:
// either the caller has cancelled them, or the broker has cancelled one of them.
func (c *consumer) handBack(ctx context.Context, cancelled *lane) error {
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
		if l.ch == nil {
			continue
		}
		// What fails, fails with its channel: all is back in the queue then.
		if cancelled != nil && l != cancelled {
			_ = l.ch.Cancel(l.tag, true)
		}
		_ = l.ch.Nack(0, true, true) // all, also what is on its way to us
	}
	return nil
}
