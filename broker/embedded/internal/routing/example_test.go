package routing_test

import (
	"fmt"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/routing"
)

func Example() {
	t := routing.New[string]() // a queue is its name here
	t, _, _ = t.Declare(routing.Exchange{Name: "logs", Type: routing.Topic, Durable: true})
	t = t.AddQueue("audit", "audit", true).AddQueue("errors", "errors", true)
	for queue, key := range map[string]string{"audit": "#", "errors": "*.error"} {
		t, _, _ = t.Bind(routing.Binding{Source: "logs", Destination: queue, Key: key}, nil)
	}
	for _, key := range []string{"db.info", "db.error"} {
		queues, _ := t.Route(nil, routing.Message{Exchange: "logs", Key: key})
		fmt.Println(key, len(queues))
	}
	_, _, err := t.Declare(routing.Exchange{Name: "logs", Type: routing.Fanout, Durable: true})
	fmt.Println(err)
	// Output:
	// db.info 1
	// db.error 2
	// PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'logs' in vhost '/': received 'fanout' but current is 'topic'
}
