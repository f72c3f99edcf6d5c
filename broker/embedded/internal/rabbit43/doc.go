// Package rabbit43 plays the parts of RabbitMQ 4.3 in which it differs from 3.10, which
// all other tests run against, to package amqp and to a pool: it has tests only.
//
// The peer is a quorum queue and as much of AMQP as a consumer and a publisher need. It
// does what RabbitMQ's own texts say, and where it is told something else than these say
// must be right it closes the channel or connection, and the test fails:
//
//   - A delivery that is not settled in time returns to its queue, and its consumer gets
//     basic.cancel (no-wait) and no more deliveries; its channel stays, its other
//     deliveries may be settled, and a late ack is ignored: consumer_timeout_SUITE.erl.
//     When the client has cancelled that consumer itself, the channel is closed with
//     406: github.com/rabbitmq/rabbitmq-server/discussions/18207.
//   - basic.cancel-ok of a client is taken from those who were told that it may be sent
//     (capability accept_consumer_cancel_ok, from 4.3.7 on): release notes of 4.3.7.
//   - basic.reject and the end of a channel or connection count towards
//     x-delivery-limit; basic.nack and a timeout do not. x-acquired-count counts all:
//     "When is delivery count incremented?" in the documentation of quorum queues.
//   - Global prefetch and queues that are neither durable nor exclusive are refused:
//     release notes of 4.3.0.
//   - A passive declaration takes the permission configure: release notes of 4.3.0.
//
// It is here because package wire is.
package rabbit43
