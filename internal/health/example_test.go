package health_test

import (
	"fmt"
	"time"

	"github.com/magne-actors/magne-actors/actors"
	"github.com/magne-actors/magne-actors/internal/health"
	"github.com/magne-actors/magne-actors/supervisor"
)

func Example() {
	now := time.Now()
	report := new(health.Judge).Judge(health.Input{
		Now: now,
		Tree: &supervisor.Node{ID: "root", State: "up", Children: []*supervisor.Node{
			{ID: "broker", State: "connected"}, {ID: "router:mail", State: "connecting"},
		}},
		Pools:  []actors.PoolStats{{Pool: "mail", Queue: "q"}},
		Answer: health.Answer{At: now, Queues: map[string]health.Queue{"q": {Ready: 17}}},
	})
	fmt.Println(report.Ready)
	fmt.Println(report.Err())
	// Output:
	// false
	// pool mail is not consuming although 17 messages wait in queue "q"
}
