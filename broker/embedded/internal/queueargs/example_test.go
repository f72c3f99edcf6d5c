package queueargs_test

import (
	"fmt"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/queueargs"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

func Example() {
	d := queueargs.Declaration{Name: "q", Durable: true, Args: wire.Table{"x-message-ttl": int32(60000)}}
	p, err := queueargs.Declare(d)
	fmt.Println(p.Type, p.MessageTTL, err)

	again := d
	again.Args = wire.Table{"x-message-ttl": int64(5)}
	fmt.Println(queueargs.Equivalent(d, again, false))

	d.Args["x-queue-type"] = "quorum"
	d.Args["x-max-priority"] = int32(10)
	_, err = queueargs.Declare(d)
	fmt.Println(err)
	// Output:
	// classic 1m0s <nil>
	// PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received '5' but current is '60000'
	// PRECONDITION_FAILED - invalid arg 'x-max-priority' for queue 'q' in vhost '/' of queue type rabbit_quorum_queue
}
