package deadletter_test

import (
	"fmt"
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/deadletter"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

func Example() {
	props, _ := (&wire.Properties{Expiration: "5000"}).AppendRaw(nil)
	letter, err := deadletter.New(deadletter.Death{
		Reason: deadletter.Expired, Queue: "work", Time: time.Unix(1700000000, 0),
		Exchange: "tasks", Key: "a.b", Props: props,
	}, deadletter.Target{Exchange: "dead"})
	if err != nil {
		panic(err)
	}
	p, _ := wire.ParseProperties(letter.Props)
	death := p.Headers["x-death"].([]any)[0].(wire.Table)
	fmt.Println(letter.Exchange, letter.Key, p.Expiration == "")
	fmt.Println(death["count"], death["reason"], death["queue"], death["original-expiration"])
	fmt.Println("back to work:", !letter.Cycle("work"))
	// Output:
	// dead a.b true
	// 1 expired work 5000
	// back to work: false
}
