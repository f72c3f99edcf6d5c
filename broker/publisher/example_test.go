package publisher_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/publisher"
	"github.com/magne-actors/magne-actors/internal/fakebroker"
	"github.com/magne-actors/magne-actors/task"
)

// Publish tasks one by one, and act on what the broker says.
func Example() {
	b := fakebroker.New() // amqp.Dialer{URL: "amqps://mq/prod", OneConnection: true}
	p, err := publisher.New(publisher.Options{Dialer: b})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	err = p.Send(ctx, "orders", &task.Message{ID: "order-42", Name: "ship", Args: json.RawMessage(`[42]`)})
	switch {
	case err == nil:
		fmt.Println("in the queue")
	case errors.Is(err, broker.ErrUnknown):
		fmt.Println("again, with the same id:", err)
	default:
		fmt.Println("not published:", err)
	}
	if err := p.Close(ctx); err != nil {
		fmt.Println(err)
	}
	fmt.Printf("%s\n", b.Ready("orders")[0].Body)
	// Output:
	// in the queue
	// {"task":"ship","id":"order-42","args":[42]}
}

// Publish many, with a window of unanswered ones.
func ExamplePublisher_Async() {
	p, err := publisher.New(publisher.Options{Dialer: fakebroker.New()})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	receipts := make([]*publisher.Receipt, 1000)
	for i := range receipts {
		m := &broker.Publication{RoutingKey: "events", Body: fmt.Append(nil, i)}
		m.Persistent = true
		if receipts[i], err = p.Async(ctx, m); err != nil {
			fmt.Println(err)
			return
		}
	}
	for _, r := range receipts {
		if _, err := r.Result(); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(p.Stats().Confirmed)
	if err := p.Close(ctx); err != nil {
		fmt.Println(err)
	}
	// Output: 1000
}
