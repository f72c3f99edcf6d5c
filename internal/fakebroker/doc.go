// Package fakebroker is a broker in memory for tests of what stands above the
// seam of package broker. It keeps no goroutine and, delays aside, no clock, so that it works
// in a testing/synctest bubble, and it keeps books: how often each message was
// settled, and every settlement that a real broker would have refused.
//
// What is published to an exchange of package ladder's comes into its queue after its
// delay, by a timer. Every other key is the name of a queue, whatever the exchange.
//
// It is not a message broker for use: nothing is stored, and queues come into
// being when they are named.
package fakebroker
