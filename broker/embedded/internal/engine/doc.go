// Package engine is the embedded broker without the network: exchanges, queues,
// consumers, acknowledgements, and what becomes of messages that nobody wants. It
// does what RabbitMQ 3.10 does, and refuses in its words.
//
//	e, err := engine.Open(engine.Options{Dir: dir})
//	owner := e.NewOwner()              // of a connection
//	ch := e.NewChannel(owner, out)     // out encodes deliveries for the client
//	ok, err := e.DeclareQueue(owner, engine.QueueSpec{Name: "q", Durable: true}, false)
//	err = ch.Consume(engine.ConsumeSpec{Queue: "q"}, started)
//	routed, err := e.Publish(&engine.Publish{Key: "q", Props: props, Body: body}, confirmer, 1, user)
//	err = ch.Ack(1, false)
//
// Whoever made an Owner, a Channel or an Engine closes it, in the order channels,
// owner, engine.
//
// # Guarantees
//
// A message is in one of three states in each of its queues: ready, delivered, or
// gone. It leaves the second by Ack, by Nack and its like, or when its channel is
// closed, and comes back to the place that it had.
//
// Confirmed(seq, true) follows when a persistent message is on disk for all durable
// queues it is in, by the rules of package store; for a message that is not to be
// stored, at once. A message that has been confirmed is delivered until it is
// acknowledged, dead-lettered or dropped by what its queue's arguments say, also
// after the loss of the process. An acknowledgement that was not yet on disk then is
// lost: the message is delivered again, marked as redelivered. A dead letter is
// stored before the message that it stands for is removed: it may be there twice
// after the loss of the process, never not at all.
//
// What a delivery begins is written down, so that after the loss of the process
// what was out is marked as redelivered, and counts towards x-delivery-limit: a
// message that kills the process is not delivered for ever.
//
// # Order
//
// Messages that one goroutine publishes to a queue are delivered in that order, of
// each priority. What is requeued comes before what is behind it in the queue.
// Dead letters keep the order in which they died. Consumers of the highest priority
// that can take a message take turns.
//
// # Concurrency, memory, time
//
// There is no goroutine for a queue, a channel or a consumer. Messages move in
// whatever call made that possible: Publish, Ack, Consume, Resume; only time has a
// timer, one for each queue that needs it, and dead letters beyond a batch get a
// goroutine until they are sent. Publish waits for it if a queue has too many; Close
// waits for all. Out and Confirmer are called with locks
// held, first that of the queue, then that of the channel, and must neither wait nor
// call the engine.
//
// Methods that change something durable in the topology wait for the disk, Publish
// only if the disk is far behind. A delivery of a message whose body is not in memory
// waits for one read.
//
// A message on disk takes 32 bytes of memory, and its contents up to
// Options.BodyMemory for all of them; the newest are dropped first, as they are
// wanted last. A message that is in memory only counts towards
// Limits.TransientBytes, where OnBlocked asks publishers to stop: it is for the
// server to stop reading from them.
//
// Code that uses the engine is best tested with one in memory, in a bubble of
// testing/synctest if it depends on time.
//
// # Different from RabbitMQ
//
// Quorum queues are classic ones with a delivery count and limit: what comes back to
// one goes to its old place, not behind what came back before it, and one that
// rejects publishes does so at its limit, not one message later, and takes them
// again as soon as there is room. amq.rabbitmq.reply-to is not a queue.
package engine
