package embedded_test

import (
	"context"
	"fmt"
	"net"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker/embedded"
)

// A client in the same process needs no socket.
func Example() {
	b, err := embedded.Open(embedded.Options{}) // in memory
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	conn, err := amqp.DialConfig("amqp://guest:guest@embedded/", amqp.Config{
		Dial: func(string, string) (net.Conn, error) { return b.Dial(context.Background()) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		fmt.Println(err)
		return
	}
	q, err := ch.QueueDeclare("tasks", true, false, false, false, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := ch.PublishWithContext(context.Background(), "", q.Name, true, false, amqp.Publishing{Body: []byte("hello")}); err != nil {
		fmt.Println(err)
		return
	}
	m, ok, err := ch.Get(q.Name, true)
	fmt.Println(string(m.Body), ok, err)
	fmt.Println("messages left:", b.Status().Ready)
	// Output:
	// hello true <nil>
	// messages left: 0
}

// A test of a client makes the broker misbehave.
func ExampleFaults() {
	f := &embedded.Faults{}
	b, err := embedded.Open(embedded.Options{Faults: f})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	unblock := f.BlockPublishers("low on disk")
	fmt.Printf("%q\n", b.Status().Blocked)
	unblock()
	fmt.Printf("%q\n", b.Status().Blocked)
	// Output:
	// "low on disk"
	// ""
}
