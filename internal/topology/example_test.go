package topology_test

import (
	"fmt"
	"strings"

	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/config"
	"github.com/magne-actors/magne-actors/internal/topology"
)

// What a broker on which there is only a queue of another type lacks.
func Example() {
	yaml := `{version: 1, pools: {mail: {retry: {delay: memory}, tasks: {hello: {builtin: echo}}}}}`
	f, err := config.Parse(strings.NewReader(yaml), "magne.yaml", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	want, err := topology.Of(f, topology.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	missing := amqp.Seen{Presence: amqp.Missing}
	plan := topology.Compare(want, topology.Facts{
		Exchanges: map[string]amqp.Seen{"magne.v1.dead": missing, "magne.v1.x": missing},
		Queues: map[string]amqp.Seen{
			"mail":               {Presence: amqp.Differs, Exists: true, Words: "406 PRECONDITION_FAILED"},
			"magne.v1.dead.mail": missing,
		},
	})
	for _, c := range plan.Changes {
		fmt.Println(c.State, c.Kind, c.Name)
	}
	// Output:
	// create exchange magne.v1.dead
	// create exchange magne.v1.x
	// create queue magne.v1.dead.mail
	// differs queue mail
	// create binding magne.v1.dead.mail
	// create binding mail
}
