package treeview_test

import (
	"fmt"
	"time"

	"github.com/magne-actors/magne-actors/internal/treeview"
	"github.com/magne-actors/magne-actors/supervisor"
)

func ExampleRender() {
	now := time.Date(2026, 1, 2, 15, 0, 0, 0, time.UTC)
	since, three, high, low := now.Add(-3*time.Hour), int64(3), int64(10), int64(5)
	root := &supervisor.Node{
		ID: "root", Kind: "root", State: "up", Since: &since,
		Children: []*supervisor.Node{
			{ID: "broker", Kind: "broker", State: "connected"},
			{ID: "router:mail", Kind: "router", State: "up", InFlight: &three, High: &high, Low: &low},
		},
	}
	fmt.Print(treeview.Render(root, now, treeview.Options{Version: "0.1.0"}))
	// Output:
	// magne-actors 0.1.0  up 3h00m  HEALTHY
	// ID              KIND    STATE      PID     UP  RESTARTS  QUEUED  RUNNING  IN-FLIGHT(high/low)  SETTLED  LAST-ERROR
	// root            root    up           -  3h00m         -       -        -  -                          -
	// |- broker       broker  connected    -      -         -       -        -  -                          -
	// `- router:mail  router  up           -      -         -       -        -  3 (10/5)                   -
}
