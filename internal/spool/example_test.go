package spool_test

import (
	"context"
	"fmt"
	"os"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/fakebroker"
	"github.com/magne-actors/magne-actors/internal/spool"
)

// The copy of a delivery goes into the spool, the delivery is acked, and later
// the broker gets the copy.
func Example() {
	dir, err := os.MkdirTemp("", "spool")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	s, err := spool.Open(spool.Options{Dir: dir, MaxBytes: 1 << 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	durable := make(chan struct{})
	s.Put(&broker.Publication{RoutingKey: "work", Body: []byte("again, please")}, func(release func(bool), err error) {
		if err == nil {
			release(true) // the delivery is acked
		}
		close(durable)
	})
	<-durable
	fmt.Println("waiting:", s.Pending())

	b := fakebroker.New()
	session, err := b.Dial(context.Background())
	if err == nil {
		err = session.Declare(context.Background(), broker.Queue{Name: "work"})
	}
	if err == nil {
		_, err = s.Drain(context.Background(), session)
	}
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println("in the queue:", b.Len("work"), "waiting:", s.Pending())
	if err := s.Close(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// waiting: 1
	// in the queue: 1 waiting: 0
}
