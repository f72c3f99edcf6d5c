package queueargs

import "github.com/magne-actors/magne-actors/broker/embedded/internal/wire"

// kind is a type of queue: what RabbitMQ calls it in texts, and the arguments that
// it has, in the order in which they are compared.
type kind struct {
	name   string
	module string
	names  []string
	args   map[string]bool
	// consumer is the arguments of consumers.
	consumer map[string]bool
}

var (
	classic = newKind(Classic, "rabbit_classic_queue", []string{
		"x-expires", "x-message-ttl", "x-dead-letter-exchange", "x-dead-letter-routing-key",
		"x-max-length", "x-max-length-bytes", "x-max-priority", "x-overflow", "x-queue-mode",
		"x-queue-version", "x-single-active-consumer", "x-queue-type", "x-queue-master-locator",
	}, []string{"x-cancel-on-ha-failover", "x-priority", "x-credit"})

	quorum = newKind(Quorum, "rabbit_quorum_queue", []string{
		"x-dead-letter-exchange", "x-dead-letter-routing-key", "x-dead-letter-strategy", "x-expires",
		"x-max-length", "x-max-length-bytes", "x-max-in-memory-length", "x-max-in-memory-bytes",
		"x-overflow", "x-single-active-consumer", "x-queue-type", "x-quorum-initial-group-size",
		"x-delivery-limit", "x-message-ttl", "x-queue-leader-locator",
	}, []string{"x-priority", "x-credit"})

	stream = newKind("stream", "", []string{
		"x-max-length-bytes", "x-queue-type", "x-max-age", "x-stream-max-segment-size-bytes",
		"x-initial-cluster-size", "x-queue-leader-locator",
	}, []string{"x-stream-offset", "x-credit"})

	// known and knownConsumer are the arguments that some type of queue has.
	known         = union(classic.args, quorum.args, stream.args)
	knownConsumer = union(classic.consumer, quorum.consumer, stream.consumer)

	// declareChecks are the checks of a type, in the order in which they are made.
	declareChecks = map[string][]check{
		Classic: checksOf(classic),
		Quorum:  checksOf(quorum),
	}
)

func newKind(name, module string, args, consumer []string) *kind {
	return &kind{name: name, module: module, names: args, args: set(args), consumer: set(consumer)}
}

func set(names []string) map[string]bool {
	s := make(map[string]bool, len(names))
	for _, name := range names {
		s[name] = true
	}
	return s
}

func union(sets ...map[string]bool) map[string]bool {
	all := map[string]bool{}
	for _, s := range sets {
		for name := range s {
			all[name] = true
		}
	}
	return all
}

// typeOf returns the kind of queue that the arguments ask for, nil for one that does
// not exist.
func typeOf(args wire.Table) *kind {
	switch v, ok := args["x-queue-type"]; {
	case !ok || v == Classic:
		return classic
	case v == Quorum:
		return quorum
	}
	return nil
}
