package supervisor

import "sync/atomic"

// maxIdle is how many parked goroutines a dispatcher keeps.
const maxIdle = 64

// dispatcher runs the activations of actors on goroutines that it keeps. By
// default protoactor starts a goroutine for each, whose stack grows anew every
// time: that makes a message to an idle actor several times as slow. There is no
// limit on how many run at once, so an actor that blocks starves no other.
type dispatcher struct {
	work chan func()   // Schedule sends, parked goroutines receive; never closed
	done chan struct{} // closed by close
	idle atomic.Int32
}

func newDispatcher() *dispatcher {
	return &dispatcher{work: make(chan func()), done: make(chan struct{})}
}

// Throughput is after how many messages an actor lets others run.
func (d *dispatcher) Throughput() int { return 300 }

// Schedule never blocks, also after close.
func (d *dispatcher) Schedule(fn func()) {
	select {
	case d.work <- fn:
	default:
		go d.run(fn) // fn recovers; a Goexit in it ends only this goroutine
	}
}

func (d *dispatcher) run(fn func()) {
	for {
		fn()
		if d.idle.Add(1) > maxIdle {
			d.idle.Add(-1)
			return
		}
		select {
		case fn = <-d.work:
			d.idle.Add(-1)
		case <-d.done:
			d.idle.Add(-1)
			return
		}
	}
}

// close ends the parked goroutines; one that is running ends after its fn.
func (d *dispatcher) close() { close(d.done) }
