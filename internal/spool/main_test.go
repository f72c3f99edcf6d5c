package spool_test

import (
	"bufio"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/spool"
)

// childVariable makes this binary a process that puts messages until it is killed.
const childVariable = "SPOOL_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		child(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// child prints the id of each message that was accepted.
func child(dir string) {
	s, err := spool.Open(spool.Options{Dir: dir})
	if err != nil {
		panic(err)
	}
	out := bufio.NewWriter(os.Stdout)
	for n := 0; ; n++ {
		accepted := make(chan error)
		s.Put(message(fmt.Sprintf("%d-%d", os.Getpid(), n)), func(release func(bool), err error) {
			if err == nil && n%2 == 0 { // the others are held back, and published all the same
				release(true)
			}
			accepted <- err
		})
		if err := <-accepted; err != nil {
			panic(err)
		}
		fmt.Fprintf(out, "%d-%d\n", os.Getpid(), n)
		if err := out.Flush(); err != nil {
			return
		}
	}
}

func message(id string) *broker.Publication {
	return &broker.Publication{
		Properties: broker.Properties{MessageID: id, Persistent: true, Headers: map[string]any{"x-attempt": int64(2), "n": int32(7)}},
		RoutingKey: "work", Body: []byte("body of " + id),
	}
}
