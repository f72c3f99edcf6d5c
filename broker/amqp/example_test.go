package amqp_test

import (
	"context"
	"fmt"
	"log"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
)

// Consume one queue until its connection is lost.
func Example() {
	ctx := context.Background()
	session, err := amqp.Dialer{URL: "amqp://guest:guest@127.0.0.1:5672/"}.Dial(ctx)
	if err != nil {
		log.Print(err)
		return
	}
	defer session.Close(ctx)
	consumer, err := session.Consume(ctx, broker.Source{Queue: amqp.QuorumQueue("orders"), Credit: 1000})
	if err != nil {
		log.Print(err)
		return
	}
	for d := range consumer.Deliveries() {
		log.Printf("%s: %s", d.MessageID, d.Body)
		if err := consumer.Settle(d.Tag, broker.Ack); err != nil {
			log.Print(err) // the broker gives it to somebody else
		}
	}
	log.Print(consumer.Err())
}

func ExampleQuorumQueue() {
	q := amqp.QuorumQueue("orders")
	fmt.Println(q.Name, q.Args["x-queue-type"], "dead letters in", q.Dead.Name)
	fmt.Println("bound to", q.Dead.Exchange, "with the key", q.Dead.BindingKey())
	// Output:
	// orders quorum dead letters in magne.v1.dead.orders
	// bound to magne.v1.dead with the key orders
}
