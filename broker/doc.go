// Package broker is the seam between the runtime and a message broker: what a
// worker needs of AMQP 0-9-1, and nothing else.
//
// A [Dialer] opens a [Session], one life of a connection. A session yields
// consumers, which hand out deliveries and take their settlements, and publishes
// with confirms:
//
//	s, err := dialer.Dial(ctx)
//	...
//	c, err := s.Consume(ctx, broker.Source{Queue: broker.Queue{Name: "orders"}, Credit: 100})
//	...
//	for d := range c.Deliveries() {
//		err := work(d)
//		...
//		err = c.Settle(d.Tag, broker.Ack)
//	}
//
// # Guarantees
//
// Delivery is at least once. A [Delivery] can be settled on the [Consumer] that
// it came from and nowhere else; when that is dead, Settle answers [ErrStale],
// sends nothing, and the broker delivers the message again, to whomever. So a
// late settlement never hits somebody else's message.
//
// At most Source.Credit deliveries are unsettled at any time. Deliveries may be
// settled in any order.
//
// A session is not repaired. When it is lost, it is closed with all that was made
// from it, and the caller dials again, at its own pace: implementations have no
// retry and no backoff.
//
// # Who closes what
//
// The implementation closes the channels that Deliveries and Done return. The
// caller closes the session, and by it all consumers, also when it is dead.
//
// # Testing
//
// An implementation passes the suite of package brokertest. Package broker/amqp
// is the one for RabbitMQ.
package broker
