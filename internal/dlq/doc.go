// Package dlq holds the decisions about dead letters: what the headers of one say
// ([Read]), which of them belong together ([Normalize], [Groups]), which of them are
// meant ([Filter]), what is published to run one again ([Replay]) or to keep it
// ([Copy]), and how one is written to a file ([Encode]).
//
// Guarantees: all of it are functions of their arguments, without I/O, clock or
// goroutines, and safe for concurrent use. A header of any type and depth is taken:
// what is not of the type that a worker writes counts as absent. No argument is
// changed. A copy never has the headers that only a broker may set. What Encode
// writes, [Decode] reads back equal: bytes that are no text, and the AMQP types of all
// header values.
package dlq
