// Package amqp connects the seam of package broker to RabbitMQ.
//
//	var d broker.Dialer = amqp.Dialer{URL: "amqp://guest:guest@127.0.0.1:5672/"}
//	s, err := d.Dial(ctx)
//	...
//	c, err := s.Consume(ctx, broker.Source{Queue: amqp.QuorumQueue("orders"), Credit: 1000})
//	for m := range c.Deliveries() {
//		err = c.Settle(m.Tag, broker.Ack)
//	}
//
// # Lives and deaths
//
// A session is never repaired. When its connection is lost, it is dead with all
// of its consumers, and the caller dials a new one. This is why: delivery tags
// start anew on a new channel, and a late ack of an old delivery would settle
// somebody else's message. The recovery that amqp091-go offers does that; it is
// not used. There is no retry and no backoff in this package.
//
// A consumer dies alone when its queue is deleted or the broker closes one of
// its channels; the session stays. The connection for publishing is a second one,
// opened by the first Publish. When it is lost, the outstanding publications end
// with [broker.ErrUnknown], consumers are not disturbed, and the next Publish
// opens it again.
//
// A message with odd headers does not end a connection. Those that RabbitMQ takes
// and amqp091-go does not, which would end every connection that the message is
// delivered to, are replaced on the way in by the header [broker.HeaderDropped].
// On the way out Publish refuses them with [broker.ErrInvalid].
//
// # Order and blocking
//
// Deliveries of one consumer come in the order in which RabbitMQ sends them on
// each channel; a window that needs several channels has no order among them.
// Settle never blocks: one goroutine per consumer writes the settlements, acks of
// neighbours in one frame, none later than 5 ms. Publish blocks while its window
// is full, or while RabbitMQ blocks publishers; confirms are reported in the order
// of publishing to an exchange. No call waits for a peer that has stopped reading for longer
// than Dialer.WriteTimeout.
//
// # Testing
//
// Code that uses the seam is tested against package brokertest's fakes or a
// private node of internal/testenv; this package passes brokertest.Run.
package amqp
