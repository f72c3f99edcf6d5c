package amqp

import (
	"time"

	"github.com/magne-actors/magne-actors/broker"
)

// How long a finished delivery may wait for others that are acked by the same
// frame. Together with settleTick, the longest sleep of the settler, an ack is
// never held for more than 5 ms.
const (
	prefixHold = time.Millisecond
	lateHold   = 4 * time.Millisecond
	settleTick = time.Millisecond
	// prefixBatch deliveries in a row are worth a frame at once.
	prefixBatch = 64
)

// window decides which frames settle the deliveries of one channel. It is pure:
// settle says what happened, plan what to send.
//
// Finished deliveries whose predecessors are all settled form the prefix; one
// multiple-ack settles it whole. A delivery that finishes before an older one
// waits a little for that one, and is then acked alone: waiting for ever would
// let one slow task stop all others at the prefetch limit. In either case fewer
// than half of the prefetch wait, so that the broker always has room to deliver:
// what is more is sent, the oldest first. The others may still be lucky. (Of
// 100,000 empty tasks, some of which the kernel held up for milliseconds, a third
// cost a frame of their own when a quarter could wait and then nothing, 14 % with
// half, 6 % now. For RabbitMQ each such frame is an entry in a quorum queue's log.)
//
// RabbitMQ closes the channel when a tag is settled twice, even as the target of
// a multiple-ack. So the target is always a delivery that this very frame acks.
type window struct {
	prefetch int

	// base is the lowest tag that states knows; states[i] is that of base+i.
	// Tags below base are settled, but for the strays.
	base   uint64
	states []state
	// strays are tags below base that are not settled: tasks that have run for so
	// long that states would have grown without bound. While there is one, a
	// multiple-ack would ack it, so everything is acked alone.
	strays map[uint64]state

	run      int       // states[:run] has no open one
	runHeld  int       // held acks in states[:run]
	runSince time.Time // when runHeld became positive
	held     int       // held acks in all
	late     []heldAck // held acks in the order of completion; others have been acked since
	urgent   []frame   // nacks and rejects: not held
}

// state is what we know of a delivery. The zero value is a task that runs, or
// a tag that the broker has not used yet.
type state uint8

const (
	open state = iota
	held       // finished, ack not sent
	sent       // settled
)

type heldAck struct {
	tag uint64
	at  time.Time
}

// frame is one basic.ack, basic.nack or basic.reject.
type frame struct {
	verdict  broker.Verdict
	tag      uint64
	multiple bool
	n        int // deliveries that it settles
}

func newWindow(prefetch int) *window {
	return &window{prefetch: prefetch, base: 1, strays: map[uint64]state{}}
}

// settle notes that the task of tag ended with v. It returns false when it had
// ended before; nothing is changed then.
func (w *window) settle(tag uint64, v broker.Verdict, now time.Time) bool {
	if w.state(tag) != open {
		return false
	}
	if v == broker.Ack {
		w.set(tag, held)
		w.held++
		w.late = append(w.late, heldAck{tag, now})
	} else {
		w.set(tag, sent)
		w.urgent = append(w.urgent, frame{verdict: v, tag: tag, n: 1})
	}
	w.extend(now)
	return true
}

// plan appends to out the frames that are due at now, in the order in which they
// must be sent, or all that there are when flush is set.
func (w *window) plan(now time.Time, flush bool, out []frame) []frame {
	out = append(out, w.urgent...)
	w.urgent = w.urgent[:0]
	if w.held > 0 {
		if f, ok := w.planPrefix(now, flush); ok {
			out = append(out, f)
		}
		out = w.planLate(now, flush, out)
	}
	w.trim()
	return out
}

// waiting says whether plan has something to do later, without a new settle.
func (w *window) waiting() bool { return w.held > 0 }

func (w *window) crowded() bool { return 2*w.held >= w.prefetch }

func (w *window) planPrefix(now time.Time, flush bool) (frame, bool) {
	if w.runHeld == 0 || len(w.strays) > 0 {
		return frame{}, false
	}
	if !flush && w.runHeld < prefixBatch && !w.crowded() && now.Sub(w.runSince) < prefixHold {
		return frame{}, false
	}
	f := frame{verdict: broker.Ack, multiple: w.runHeld > 1, n: w.runHeld}
	for i := range w.run {
		if w.states[i] == held {
			w.states[i] = sent
			f.tag = w.base + uint64(i)
		}
	}
	w.held -= w.runHeld
	w.runHeld = 0
	return f, true
}

func (w *window) planLate(now time.Time, flush bool, out []frame) []frame {
	done := 0
	for _, h := range w.late {
		if w.state(h.tag) == held {
			if !flush && !w.crowded() && now.Sub(h.at) < lateHold {
				break
			}
			w.set(h.tag, sent)
			w.held--
			out = append(out, frame{verdict: broker.Ack, tag: h.tag, n: 1})
		}
		done++
	}
	w.late = w.late[done:]
	return out
}

func (w *window) state(tag uint64) state {
	if tag < w.base {
		st, isStray := w.strays[tag]
		if !isStray {
			return sent
		}
		return st
	}
	if i := tag - w.base; i < uint64(len(w.states)) {
		return w.states[i]
	}
	return open
}

func (w *window) set(tag uint64, st state) {
	if tag < w.base {
		if w.strays[tag] = st; st == sent {
			delete(w.strays, tag)
		}
		return
	}
	i := int(tag - w.base)
	for len(w.states) <= i {
		w.states = append(w.states, open)
	}
	if i < w.run { // only held to sent can happen there
		w.runHeld--
	}
	w.states[i] = st
}

// extend moves the end of the run over what has finished.
func (w *window) extend(now time.Time) {
	for w.run < len(w.states) && w.states[w.run] != open {
		if w.states[w.run] == held {
			if w.runHeld == 0 {
				w.runSince = now
			}
			w.runHeld++
		}
		w.run++
	}
}

// trim forgets what is settled.
func (w *window) trim() {
	n := 0
	for n < w.run && w.states[n] == sent {
		n++
	}
	w.forget(n)
	// An open delivery at the front keeps all later ones. When they have become
	// many, it and its like are kept apart.
	if limit := 8*w.prefetch + 4096; len(w.states) > limit && w.run == 0 {
		half := len(w.states) / 2
		for i, st := range w.states[:half] {
			if st != sent {
				w.strays[w.base+uint64(i)] = st
			}
		}
		w.forget(half)
		w.extend(w.runSince)
	}
}

func (w *window) forget(n int) {
	w.states = w.states[n:]
	w.base += uint64(n)
	w.run = max(0, w.run-n)
}
