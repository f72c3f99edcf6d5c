// Package deadletter makes the dead letter of a message: what a queue publishes to
// its dead-letter exchange in place of a message that was rejected, that expired,
// or for which it had no room.
//
//	letter, err := deadletter.New(deadletter.Death{
//		Reason: deadletter.Expired, Queue: "work", Time: now,
//		Exchange: "tasks", Key: "a.b", Props: props,
//	}, deadletter.Target{Exchange: "dead"})
//	for _, q := range route(letter.Exchange, letter.Key, letter.More) {
//		if !letter.Cycle(q.Name) {
//			enqueue(q, letter.Props)
//		}
//	}
//
// It is pure, and as RabbitMQ 3.10 does it: the header x-death says where the
// message died, why and how often, x-first-death-reason, -queue and -exchange where
// it did first. New does not change the properties it is given, and what it returns
// shares no memory with them.
package deadletter
