package publisher

import (
	"errors"
	"fmt"
)

var errGoexit = errors.New("runtime.Goexit ended a goroutine of the publisher")

// guard runs work beside the owner. If that panics or calls runtime.Goexit, failed is
// called with an error: dialers and sessions are somebody else's code.
func (p *Publisher) guard(work func(), failed func(error)) {
	p.workers.Go(func() { guarded(work, failed) })
}

func guarded(work func(), failed func(error)) {
	done := false
	defer func() {
		if v := recover(); v != nil {
			failed(fmt.Errorf("panic: %v", v))
		} else if !done {
			failed(errGoexit)
		}
	}()
	work()
	done = true
}
