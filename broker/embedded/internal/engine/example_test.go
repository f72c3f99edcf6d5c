package engine_test

import (
	"fmt"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/engine"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// printer is an Out that prints where a server would encode frames.
type printer struct{}

func (printer) Deliver(d *engine.Delivery) {
	fmt.Printf("%s: %s, tag %d\n", d.ConsumerTag, d.Body, d.Tag)
}
func (printer) Cancelled(tag string)            { fmt.Println(tag, "cancelled") }
func (printer) Writable() bool                  { return true }
func (printer) Confirmed(seq uint64, safe bool) { fmt.Println("confirmed", seq, safe) }

func Example() {
	e, err := engine.Open(engine.Options{}) // in memory; a Dir keeps what is durable
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	owner := e.NewOwner()
	defer owner.Close()
	ch := e.NewChannel(owner, printer{})
	defer ch.Close()

	if _, err := e.DeclareQueue(owner, engine.QueueSpec{Name: "greetings", Durable: true}, false); err != nil {
		fmt.Println(err)
	}
	props, err := (&wire.Properties{DeliveryMode: wire.Persistent}).AppendRaw(nil)
	if err != nil {
		fmt.Println(err)
	}
	p := &engine.Publish{Key: "greetings", Props: props, Body: []byte("hello")}
	fmt.Println(e.Publish(p, printer{}, 1, "guest"))

	started := func(tag string) { fmt.Println(tag, "started") }
	if err := ch.Consume(engine.ConsumeSpec{Queue: "greetings", Tag: "reader"}, started); err != nil {
		fmt.Println(err)
	}
	fmt.Println(ch.Ack(1, false))
	fmt.Println(ch.Ack(1, false))
	// Output:
	// confirmed 1 true
	// true <nil>
	// reader started
	// reader: hello, tag 1
	// <nil>
	// PRECONDITION_FAILED - unknown delivery tag 1
}
