package top_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/magne-actors/magne-actors/internal/top"
	"github.com/magne-actors/magne-actors/supervisor"
)

func ExampleMeasure() {
	look := func(settled int64) *supervisor.Node {
		return &supervisor.Node{ID: "root", Kind: "root", State: "up", Children: []*supervisor.Node{
			{ID: "router:mail", Kind: "router", State: "consuming", Settled: &settled},
		}}
	}
	began := time.Date(2026, 1, 2, 15, 0, 0, 0, time.UTC)
	prev := top.Snapshot{Time: began, Root: look(1000)}
	cur := top.Snapshot{Time: began.Add(2 * time.Second), Root: look(1500)}
	text, _ := json.Marshal(top.Measure(prev, cur))
	fmt.Println(string(text))
	// Output:
	// {"time":"2026-01-02T15:00:02Z","seconds":2,"health":"healthy","in_flight":0,"queued":0,"running":0,"settled":1500,"settled_per_s":250,"restarts":0,"nodes":[{"id":"root","kind":"root","state":"up","children":["router:mail"],"settled_per_s":250},{"id":"router:mail","kind":"router","state":"consuming","settled":1500,"children":[],"settled_per_s":250}]}
}
