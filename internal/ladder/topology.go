package ladder

import (
	"strconv"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/broker"
)

const (
	// DeliverExchange is the end of the ladder: a topic exchange that leads to the
	// work queues, see [Exit].
	DeliverExchange = "magne.v1.deliver"
	// UndeliveredExchange gets what DeliverExchange can lead to no queue.
	UndeliveredExchange = "magne.v1.undelivered"
	// UndeliveredQueue keeps it: it is named as the queue of the dead letters of a
	// queue that were called as DeliverExchange is.
	UndeliveredQueue = "magne.v1.dead." + DeliverExchange

	// QueuePrefix is what the names of all delay exchanges and queues begin with.
	QueuePrefix = "magne.v1.delay."

	// lookLimit is how often a message may be looked at while it waits, which counts as
	// a delivery. Without a limit RabbitMQ before 4.0 puts what comes back at the end of
	// its queue, as 4.0 does with a limit of -1, and it would be due only with what was
	// published after it; 4.0's own limit of 20 would remove it.
	lookLimit = 1_000_000
)

// DelayExchange returns the name of the exchange for delays whose highest digit that
// is not zero is at level, from 0, the lowest, to Levels-1.
func DelayExchange(level int) string { return QueuePrefix + strconv.Itoa(level) }

// DelayQueue returns the name of the queue for a digit from 1 to 15 at a level.
func DelayQueue(level, digit int) string {
	return DelayExchange(level) + "." + strconv.FormatInt(int64(digit), base)
}

// Wait returns how long a message stays in DelayQueue(level, digit).
func Wait(level, digit int) time.Duration { return time.Duration(digit<<(4*level)) * Unit }

// Topology returns the ladder: seven delay exchanges with 105 queues and 420 bindings
// to them, the exchange that they end at, and where that leaves what has no queue.
func Topology() broker.Topology {
	t := broker.Topology{Exchanges: []broker.Exchange{
		{Name: UndeliveredExchange, Kind: "fanout", Durable: true},
		{Name: DeliverExchange, Kind: "topic", Durable: true, Args: map[string]any{"alternate-exchange": UndeliveredExchange}},
	}}
	t.Queues = append(t.Queues, broker.Queue{Name: UndeliveredQueue, Durable: true, Args: map[string]any{"x-queue-type": "quorum"}})
	t.Bindings = append(t.Bindings, broker.Binding{Exchange: UndeliveredExchange, Queue: UndeliveredQueue})
	for level := range Levels {
		t.Exchanges = append(t.Exchanges, broker.Exchange{Name: DelayExchange(level), Kind: "topic", Durable: true})
		for digit := 1; digit < base; digit++ {
			t.Queues = append(t.Queues, delayQueue(level, digit))
		}
		t.Bindings = append(t.Bindings, jumps(level)...)
	}
	return t
}

func delayQueue(level, digit int) broker.Queue {
	next := DeliverExchange
	if level > 0 {
		next = DelayExchange(level - 1)
	}
	return broker.Queue{
		Name: DelayQueue(level, digit), Durable: true,
		Args: map[string]any{
			"x-queue-type":           "quorum",
			"x-message-ttl":          Wait(level, digit).Milliseconds(),
			"x-dead-letter-exchange": next, // the routing key is kept
			"x-dead-letter-strategy": "at-least-once",
			"x-overflow":             "reject-publish", // at-least-once requires it
			"x-delivery-limit":       lookLimit,
		},
	}
}

// jumps returns the bindings of the exchange of a level: to the queue of the first
// digit from there down that is not zero, whatever zeros are passed over, and to the
// end when there is none. Digits above were waited for already.
func jumps(level int) []broker.Binding {
	from := DelayExchange(level)
	above := strings.Repeat("*.", Levels-1-level)
	var list []broker.Binding
	for i := level; i >= 0; i-- {
		zeros := strings.Repeat("0.", level-i)
		for digit := 1; digit < base; digit++ {
			key := above + zeros + strconv.FormatInt(int64(digit), base) + ".#"
			list = append(list, broker.Binding{Exchange: from, Key: key, Queue: DelayQueue(i, digit)})
		}
	}
	return append(list, broker.Binding{Exchange: from, Key: above + strings.Repeat("0.", level+1) + "#", ToExchange: DeliverExchange})
}

// Exit returns the binding that leads what is delayed for a queue into it. The queue
// must exist, and so must the ladder. The name must be [Routable].
func Exit(queue string) broker.Topology {
	return broker.Topology{Bindings: []broker.Binding{
		{Exchange: DeliverExchange, Key: strings.Repeat("*.", Levels) + queue, Queue: queue},
	}}
}
