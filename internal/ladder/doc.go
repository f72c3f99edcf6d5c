// Package ladder says how a message waits on a broker that has no delays, without
// a plugin: on a ladder of queues whose messages expire after a fixed time and are
// dead-lettered to the next one.
//
// A delay is a number of seven hexadecimal digits, counted in units of 125 ms. Each
// digit that is not zero is a queue in which the message waits for as long as the
// digit says, from the highest to the lowest; so it waits in at most seven queues,
// each of which is strictly first in, first out, and no message waits behind one
// that is due later. The digits are the first seven words of the routing key, the
// queue that the message is for is the rest of it.
//
//	exchange magne.v1.delay.2, key 0.0.0.0.1.a.4.orders
//	-> queue magne.v1.delay.2.1   256 units = 32 s
//	-> queue magne.v1.delay.1.a   160 units = 20 s
//	-> queue magne.v1.delay.0.4     4 units = 500 ms
//	-> exchange magne.v1.deliver -> queue orders
//
// Guarantees: the times on the path of [Route] add up to the delay, rounded up to
// Unit; that of [RouteRetry] has one queue. Each path ends at [DeliverExchange],
// and what that leads nowhere, since the queue has no binding or was deleted, waits
// in [UndeliveredQueue] and holds up nothing. Every queue is a quorum queue that
// dead-letters at least once: a message that was confirmed survives the death of
// the broker, and may then arrive twice.
//
// The names carry a version: arguments of a queue cannot be changed.
//
// Everything here is a pure function, but for [Way], which declares what they name.
package ladder
