// Package queueargs reads what clients say of queues, consumers and messages in
// arguments: x-message-ttl, x-max-length, x-priority, the property expiration.
//
//	policy, err := queueargs.Declare(queueargs.Declaration{Name: "q", Durable: true, Args: args})
//	...
//	err = queueargs.Equivalent(&existing, &received) // a second declaration
//
// It is pure. It accepts and refuses what RabbitMQ 3.10 does, in its words, but for
// streams, which are refused as a type that nobody knows. Errors are
// *routing.Error, with wire.CodePreconditionFailed if nothing else is said.
//
// Arguments that RabbitMQ does not know are ignored, as it does; those that it
// knows for another type of queue are refused.
package queueargs
