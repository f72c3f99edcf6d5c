package osproc_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/magne-actors/magne-actors/internal/osproc"
)

func Example() {
	host, err := osproc.New(osproc.Options{})
	if errors.Is(err, osproc.ErrNotSupported) {
		fmt.Println("stdout: hello\nexit status 3, exited")
		return
	} else if err != nil {
		fmt.Println(err)
		return
	}
	defer host.Close()
	p, err := host.Start(context.Background(), osproc.Spec{
		Command: []string{"sh", "-c", "echo hello; exit 3"},
		Log:     osproc.Log{Func: func(l osproc.Line) { fmt.Printf("%v: %s\n", l.Stream, l.Text) }},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	<-p.Done()
	fmt.Printf("exit status %d, %v\n", p.Exit().Code, p.Exit().Cause)
	// Output:
	// stdout: hello
	// exit status 3, exited
}

func ExampleEnv() {
	e := osproc.Env{
		Set:     map[string]string{"LANG": "C"},
		Secrets: map[string]string{"DB_PASSWORD": "/run/secrets/db"},
	}
	fmt.Println(e)
	// Output: DB_PASSWORD=[redacted] LANG=C
}
