package doctor_test

import (
	"fmt"
	"time"

	"github.com/magne-actors/magne-actors/internal/doctor"
)

// Facts and what there is to say about them.
func Example() {
	facts := doctor.Facts{
		Addresses: []doctor.Address{{Address: "amqp://mq/", Path: "broker.url"}},
		Broker:    &doctor.Broker{Product: "RabbitMQ", Version: "3.13.7"},
		Pools:     []doctor.Pool{{Name: "video", Queue: "video", Unsettled: time.Hour}},
		Files:     doctor.Files{Limit: 1 << 20},
		API:       &doctor.API{PoliciesKnown: true},
		Settings:  &doctor.Settings{ConsumerTimeout: new(30 * time.Minute)},
	}
	for _, f := range doctor.Judge(facts) {
		if f.Severity == doctor.Error {
			fmt.Println(f.Check, f.Path)
			fmt.Println(f.What)
		}
	}
	// Output:
	// consumer_timeout pools.video.timeout
	// a delivery of pool video may be unsettled for 1h0m0s, and after 30m0s (consumer_timeout of the broker) RabbitMQ takes it and all others of the channel back and runs them again
}
