package copies

import (
	"errors"
	"fmt"
	"sync"
)

var errGoexit = errors.New("copies: runtime.Goexit ended a goroutine")

// guard runs work beside the caller. If it panics or calls runtime.Goexit, failed
// is called with an error.
func guard(work func(), failed func(error)) {
	go func() {
		done := false
		defer func() {
			if v := recover(); v != nil {
				failed(fmt.Errorf("copies: panic: %v", v))
			} else if !done {
				failed(errGoexit)
			}
		}()
		work()
		done = true
	}()
}

// each calls f for all members at once, and returns what they returned in the order
// of the members.
func each[T any](members []*member, f func(*member) (T, error)) []answer[T] {
	list := make([]answer[T], len(members))
	var all sync.WaitGroup
	all.Add(len(members))
	for i, m := range members {
		guard(func() {
			v, err := f(m)
			list[i] = answer[T]{m.number, v, err}
			all.Done()
		}, func(err error) {
			list[i] = answer[T]{number: m.number, err: err}
			all.Done()
		})
	}
	all.Wait()
	return list
}

// answer is what one copy has said.
type answer[T any] struct {
	number int
	value  T
	err    error
}
