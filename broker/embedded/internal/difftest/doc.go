// Package difftest compares the embedded broker with RabbitMQ: it has tests only.
//
// A sequence of random operations, over several channels of two connections, runs
// on both brokers; what each operation brought, what was delivered where, and what
// is in the queues afterwards must be the same.
//
//	go test ./broker/embedded/internal/difftest -run TestSameAsRabbitMQ
//	MAGNE_DIFF_SEQUENCES=10000 go test ...    # default: 200
//	go test ... -rapid.seed=1234              # one that failed
//
// After each operation the test waits until it has had all its effects: it asks all
// channels for an answer and all queues for their counts until both stay the same.
// It has a client of its own, on package wire, because with one that reads in
// another goroutine the order of what came on a channel is lost.
//
// Only what is decided is compared. Consumers of one channel are all on the same
// queue, because RabbitMQ's queues run beside one another: the order in which
// deliveries of two of them come on one channel is anybody's guess.
package difftest
