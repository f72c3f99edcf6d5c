package fakebroker_test

import (
	"context"
	"fmt"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/fakebroker"
)

func Example() {
	b := fakebroker.New()
	b.Put("work", broker.Publication{Body: []byte("one")})

	session, _ := b.Dial(context.Background())
	consumer, _ := session.Consume(context.Background(), broker.Source{Queue: broker.Queue{Name: "work"}, Credit: 1})
	d := <-consumer.Deliveries()
	_ = consumer.Settle(d.Tag, broker.Ack)
	_ = consumer.Settle(d.Tag, broker.Ack)
	fmt.Println(b.Acked(), b.Wrong())
	// Output: 1 [queue work: tag 1 settled twice or unknown]
}
