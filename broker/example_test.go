package broker_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/magne-actors/magne-actors/broker"
)

// nowhere is a session to a broker without queues.
type nowhere struct{ broker.Session }

func (nowhere) Publish(_ context.Context, p *broker.Publication, done func(error)) error {
	go done(fmt.Errorf("key %q: %w", p.RoutingKey, broker.ErrUnroutable))
	return nil
}

// Publish one message and act on the broker's answer.
func ExamplePublishAndWait() {
	p := &broker.Publication{
		Properties: broker.Properties{MessageID: "7f3a", ContentType: "application/json", Persistent: true},
		RoutingKey: "orders", // with the default exchange: the queue
		Body:       []byte(`{"task":"ship","args":[42]}`),
	}
	switch err := broker.PublishAndWait(context.Background(), nowhere{}, p); {
	case err == nil:
		fmt.Println("in the queue")
	case errors.Is(err, broker.ErrUnknown), errors.Is(err, broker.ErrRefused):
		fmt.Println("again, with the same message id:", err)
	default:
		fmt.Println("failed:", err)
	}
	// Output:
	// failed: key "orders": unroutable
}
