// Package faults breaks what is around a running magne-actors, one thing after the
// other, and measures what that does to the messages.
//
//	report, err := faults.Run(ctx, faults.Faults(), faults.Options{Program: path})
//
// Each [Fault] has a virtual host, a user and an instance of its own, on a real
// RabbitMQ node that belongs to the suite. The instance is the program `magne-actors
// run`, not the library; what it executes arrives at an HTTP endpoint. Numbered
// messages are published at a steady rate, each with a confirm, by a client that the
// faults of the network do not touch. docs/faults.md has what was measured last.
//
// # What is counted
//
// A message is lost when the broker has confirmed it and it was never executed to the
// end; one that the fault itself removed, with a queue that it deleted or purged, or
// that is in the dead-letter queue, is counted as such. An execution beyond a
// message's first is a duplicate: delivery is at least once, and a connection that is
// cut between the end of a task and its ack makes one. Publications without a confirm
// are not repeated, so none of the duplicates is the publisher's.
//
// Whether a delivery is settled twice is read off the wire. Between the instance and
// the broker is a proxy that changes nothing and follows the AMQP frames in both
// directions: each basic.deliver opens its tag on its channel, each ack, nack or
// reject must close one that is open. A tag that was closed before counts as settled
// twice, one that was never delivered on that channel as foreign; both are what
// RabbitMQ answers by closing the channel with 406, which is counted, too.
//
// The time of recovery is that from the broker being able again to the first
// basic.deliver on the wire. Able is when another client, which goes the same way as
// the same user, can consume.
package faults
