package dlq_test

import (
	"fmt"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/dlq"
)

func Example() {
	letter := &broker.Delivery{Queue: "magne.v1.dead.work", Body: []byte(`{"task": "resize"}`)}
	letter.MessageID = "7"
	letter.Headers = map[string]any{"x-reason": "timeout", "x-error": "no answer after 30s", "x-attempt": int64(3), "x-queue": "work"}

	l := dlq.Read(letter)
	fmt.Println(l.Task, l.Reason, dlq.Normalize(l.Error))

	again, err := dlq.Replay(letter, dlq.Destination(&l, ""), 3, time.Unix(0, 0))
	fmt.Println(again.RoutingKey, again.Headers, err)
	// Output:
	// resize timeout no answer after <n>s
	// work map[x-first-reason:timeout x-replayed-at:1970-01-01T00:00:00Z x-replays:1] <nil>
}
