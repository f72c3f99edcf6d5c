package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/task"
	"github.com/magne-actors/magne-actors/task/builtin"
	"github.com/magne-actors/magne-actors/task/codec"
)

// scenario is a kind of load.
type scenario struct {
	name, about    string
	n, smoke, runs int // defaults
	high           func(n int) int

	queue   func(name string) broker.Queue
	codec   task.Codec
	message func(i int) *task.Message
	timeout time.Duration // of a task; 0, the default of magne.yaml, is none

	// mux has the handlers for magne-actors; raw is the loop without it.
	mux func(j *job, m *meter) *task.Mux
	// python has Python programs run the tasks, one at a time in each worker, in
	// place of mux.
	python bool
	raw    func(ctx context.Context, j *job, m *meter) error

	// ideal is how long it would take if nothing but the tasks took time; nil
	// where that is not at all.
	ideal func(n, high int) time.Duration
}

func scenarios() []*scenario {
	return append([]*scenario{
		{
			name: "noop", about: "messages of 100 bytes in a quorum queue, handlers that do nothing",
			n: 100_000, smoke: 2000, runs: 3, high: func(int) int { return 1000 },
			queue: amqp.QuorumQueue, codec: codec.JSON{}, message: noopMessage,
			mux: noopMux, raw: rawNoop,
		},
		{
			name: "latency", about: "magne's mix in magne's format: 1 % of the tasks take 10 s, 29 % 5 s, 20 % 3 s, 50 % 1 s",
			n: 10_000, smoke: 200, runs: 1, high: func(n int) int { return n },
			queue: amqp.MagneQueue, codec: codec.Magne{}, message: latencyMessage, timeout: time.Minute,
			mux: latencyMux, raw: rawLatency, ideal: idealLatency,
		},
	}, processScenarios()...)
}

// scenarioNames are for people.
func scenarioNames() string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	for _, s := range ownScenarios() {
		names = append(names, s.name)
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

func scenarioByName(name string) (*scenario, error) {
	for _, s := range scenarios() {
		if s.name == name {
			return s, nil
		}
	}
	return nil, fmt.Errorf("unknown scenario %q", name)
}

// noopBody is how long the body of a noop message is, in bytes.
const noopBody = 100

// noopMessage is a message that the json codec makes noopBody bytes of.
func noopMessage(i int) *task.Message {
	const frame = len(`{"task":"noop","id":"000000000000","args":[""]}`)
	pad := bytes.Repeat([]byte{'x'}, noopBody-frame)
	return &task.Message{Name: "noop", ID: fmt.Sprintf("%012d", i), Args: fmt.Appendf(nil, `["%s"]`, pad)}
}

func noopMux(*job, *meter) *task.Mux {
	x := task.NewMux()
	x.Handle("noop", task.HandlerFunc(func(context.Context, *task.Message) error { return nil }))
	return x
}

const latencyTask = "magne_latency_bench"

// latencyMessage is what magne's benchmark publishes.
func latencyMessage(int) *task.Message {
	return &task.Message{Name: latencyTask, Args: json.RawMessage("[]")}
}

func latencyMux(j *job, m *meter) *task.Mux {
	next := drawer(j.N)
	h, err := builtin.Options{Float64: next}.New("latency_bench")
	if err != nil {
		panic(err) // the name is a constant
	}
	x := task.NewMux()
	x.Use(m.watch)
	x.Handle(latencyTask, h)
	return x
}

// draws are the random numbers of n latency tasks in the order in which they
// start: the same ones for every system and run.
func draws(n int) []float64 {
	r := rand.New(rand.NewPCG(1, 2))
	u := make([]float64, n)
	for i := range u {
		u[i] = r.Float64()
	}
	return u
}

// drawer hands out draws to concurrent tasks. What would be more than n (after
// a redelivery) begins anew.
func drawer(n int) func() float64 {
	u := draws(n)
	var next atomic.Int64
	return func() float64 { return u[int(next.Add(1)-1)%n] }
}

// idealLatency is the longest task, or more when high does not let all run at
// once.
func idealLatency(n, high int) time.Duration {
	var longest, sum time.Duration
	for _, u := range draws(n) {
		d := builtin.LatencyDuration(u)
		longest, sum = max(longest, d), sum+d
	}
	return max(longest, sum/time.Duration(high))
}
