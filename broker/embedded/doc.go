// Package embedded is an AMQP 0-9-1 broker inside the process: what
// magne-actors run uses when no broker is configured. It speaks as RabbitMQ
// 3.10 does, so that any client of RabbitMQ can use it and a program moves to
// RabbitMQ by another URL.
//
//	b, err := embedded.Open(embedded.Options{Dir: dir})
//	defer b.Close()
//	go b.Serve(ctx, listener) // for any client in any language
//	nc, err := b.Dial(ctx)    // for a client in this process: no socket
//
// It is one process on one machine. There is no cluster, no management HTTP API,
// no policy, no stream; queues of type quorum are accepted and are queues as
// the others. Transactions are refused (540), and so is every vhost but "/".
// docs/embedded.md has the list.
//
// # What holds
//
//   - A persistent message in a durable queue is confirmed after the fsync of
//     all queues that it reached. Options.Fsync above 0 gives up the newest of
//     them when power is lost, for speed.
//   - A message that is returned is returned before its confirm.
//   - Confirms come as few basic.ack and basic.nack, multiple where they can be.
//     No number is told twice.
//   - Errors have RabbitMQ's code, and its words where clients read them. An
//     error of a channel closes that channel alone.
//   - What a connection had unacknowledged when it ended is in its queues again,
//     in order, as is everything after the next Open.
//   - No client can make the broker hold more than Options.Limits say: a
//     consumer that does not read is sent nothing more once its connection's
//     buffer is full, a requester that does not read is not read either, and
//     contents that are not whole count. Publishers are held up when messages in
//     memory or the disk reach their limit, as by RabbitMQ's alarms.
//
// # Goroutines
//
// A connection has two, one that reads and does what is asked and one that
// writes, and a timer for its heartbeats. Queues, channels and consumers have
// none. Serve and Close wait for those of their connections; Close takes some
// seconds at most, however clients behave.
//
// # Who may connect
//
// Without Options.Users only guest, with the password guest, from this machine,
// as with RabbitMQ. Passwords are kept as argon2id or bcrypt hashes, which
// HashPassword makes; a login that fails is logged with user and address and
// takes three seconds. TLS is the business of the listener: tls.NewListener.
//
// # Tests
//
// Faults hurts the clients of a broker: it drops connections, cancels consumers,
// blocks publishers, delays confirms and closes channels. A test that needs a
// broker opens one without a Dir, which takes a millisecond.
package embedded
