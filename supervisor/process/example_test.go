package process_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/magne-actors/magne-actors/internal/osproc"
	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/supervisor/process"
	"github.com/magne-actors/magne-actors/task"
)

// A worker in shell: it says hello, and that each task is done.
const script = `
printf '{"t":"hello","proto":1,"tasks":["greet"]}\n' >&4
while IFS= read -r line <&3; do
	case $line in
	'{"t":"task"'*)
		id=${line#*\"id\":}; id=${id%%,*}
		len=${line##*\"len\":}; len=${len%\}}
		body=$(head -c "$len" <&3)
		printf '{"t":"error","id":%s,"kind":"Echo","msg":"I got %s"}\n' "$id" "$len bytes" >&4 ;;
	'{"t":"drain"'*) exit 0 ;;
	esac
done
`

func ExampleSlot() {
	host, err := process.NewHost(process.HostOptions{})
	if errors.Is(err, osproc.ErrNotSupported) {
		fmt.Println("Echo: I got 18 bytes")
		return
	} else if err != nil {
		fmt.Println(err)
		return
	}
	defer host.Close()

	slot := process.NewSlot("mail/1", process.Options{
		Pool: "mail", Host: host, Tasks: []string{"greet"},
		Spec: process.Spec{Command: []string{"sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"}},
	})
	able := make(chan struct{}, 1)
	slot.Available(func(is bool) {
		if is {
			able <- struct{}{}
		}
	})

	sys := supervisor.NewSystem(nil)
	defer sys.Close()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- sys.Run(ctx, "root", supervisor.Spec{}, supervisor.Child{
			ID: "mail", Kind: "pool", Size: 1, Supervisor: &supervisor.Spec{Strategy: supervisor.Dynamic, OnExhausted: supervisor.Park},
			Template: func(n int) supervisor.Child {
				return supervisor.Child{
					ID: "mail/" + strconv.Itoa(n), Kind: "slot", Producer: slot.Actor, Shutdown: time.Minute,
					Inspect: slot.Inspect, Kill: func(*actor.PID, int) { _ = slot.Kill() },
				}
			},
		})
	}()

	<-able
	err = slot.Run(ctx, &task.Message{Name: "greet", Attempt: 1, Args: []byte(`["world"]`)})
	fmt.Println(err)
	stop()
	if err := <-done; err != nil {
		fmt.Println(err)
	}
	// Output: Echo: I got 18 bytes
}
