package main

import (
	"container/heap"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/supervisor/process"
	"github.com/magne-actors/magne-actors/task"
	"github.com/magne-actors/magne-actors/task/builtin"
	"github.com/magne-actors/magne-actors/task/codec"
)

// processScenarios are those whose tasks are run by Python programs, one at a time
// in each: the protocol's window is 1.
func processScenarios() []*scenario {
	return []*scenario{
		{
			name: "python", about: "messages of 100 bytes in a quorum queue, Python workers that do nothing; raw does not run Python",
			n: 20_000, smoke: 500, runs: 3, high: func(int) int { return 1000 },
			queue: amqp.QuorumQueue, codec: codec.JSON{}, message: noopMessage, python: true, raw: rawNoop,
		},
		{
			name: "processes", about: "magne's process table: its mix of durations, each task in one of the worker processes",
			n: 100, smoke: 4, runs: 1, high: func(int) int { return 8 },
			queue: amqp.QuorumQueue, codec: codec.JSON{}, message: waitMessage, python: true, raw: rawWait, ideal: idealWait,
		},
	}
}

//go:embed worker.py
var workerPy []byte

// pythonWorkers are the processes of a pool. The returned function removes what
// they need.
func pythonWorkers() (*process.Options, func(), error) {
	sdk, err := findSDK()
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "magne-bench-")
	if err != nil {
		return nil, nil, err
	}
	remove := func() { _ = os.RemoveAll(dir) } // of the system's temporary directory
	script := filepath.Join(dir, "worker.py")
	if err := os.WriteFile(script, workerPy, 0o600); err != nil {
		remove()
		return nil, nil, err
	}
	return &process.Options{Spec: process.Spec{
		Command: []string{"python3", script},
		Env:     []string{"PATH=" + os.Getenv("PATH"), "PYTHONPATH=" + sdk, "PYTHONDONTWRITEBYTECODE=1"},
	}}, remove, nil
}

// findSDK looks for sdk/python in the working directory and above it.
func findSDK() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		sdk := filepath.Join(dir, "sdk", "python")
		switch _, err := os.Stat(filepath.Join(sdk, "magne_worker.py")); {
		case err == nil:
			return sdk, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", err
		case dir == filepath.Dir(dir):
			return "", errors.New("there is no sdk/python here or above: run the benchmark in the repository")
		}
		dir = filepath.Dir(dir)
	}
}

// waitMessage is a task that takes as long as the i-th of magne's mix.
func waitMessage(i int) *task.Message {
	seconds := builtin.LatencyDuration(draws(i + 1)[i]).Seconds()
	return &task.Message{Name: "wait", Args: fmt.Appendf(nil, "[%v]", seconds)}
}

// slots are when each of some slots is free again, the first one first.
type slots []time.Duration

func (s slots) Len() int           { return len(s) }
func (s slots) Less(i, j int) bool { return s[i] < s[j] }
func (s slots) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *slots) Push(any)          {} // their number does not change
func (s *slots) Pop() any          { return nil }

// idealWait is when the last of n tasks ends if each begins, in their order, as
// soon as one of the slots is free.
func idealWait(n, free int) time.Duration {
	s := make(slots, free)
	var last time.Duration
	for _, u := range draws(n) {
		s[0] += builtin.LatencyDuration(u)
		last = max(last, s[0])
		heap.Fix(&s, 0)
	}
	return last
}

// rawWait has as many goroutines as there are workers, each of which receives,
// waits and acks.
func rawWait(_ context.Context, j *job, m *meter) error {
	m.start()
	r, err := openRaw(j, j.High)
	if err != nil {
		return err
	}
	work := make(chan error, j.High)
	var begun atomic.Int64
	for range j.High {
		go func() { work <- waitLoop(j, m, r, &begun) }()
	}
	for range j.High {
		err = errors.Join(err, <-work)
	}
	return errors.Join(err, r.close())
}

func waitLoop(j *job, m *meter, r *rawLoop, begun *atomic.Int64) error {
	for begun.Add(1) <= int64(j.N) {
		d, err := r.next()
		if err != nil {
			return err
		}
		m.inFlight.add(1)
		msg, err := codec.JSON{}.Decode(&task.Raw{Body: d.Body})
		if err != nil {
			return err
		}
		seconds, err := strconv.ParseFloat(string(msg.Args[1:len(msg.Args)-1]), 64)
		if err != nil {
			return err
		}
		<-time.After(time.Duration(seconds * float64(time.Second)))
		if err := d.Ack(false); err != nil {
			return err
		}
		m.inFlight.add(-1)
		m.settle(1)
	}
	return nil
}
