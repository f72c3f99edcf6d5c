package supervisor

import (
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// incarnation is one run of a child. Its supervisor and its hook share it.
type incarnation struct {
	node *node
	gen  int
	key  int       // of the child in its supervisor's machine
	name string    // of the actor: the child's id and the generation
	tell func(any) // tells the supervisor childUp, childEnding or childDown; never blocks

	starts bool // it says itself when it is up; set before it is started, as is drains
	drains bool // it stops by Drain and Quit

	phase atomic.Int32  // incLive, incDown or incAbandoned
	asked atomic.Bool   // the supervisor has asked it to stop
	gone  chan struct{} // of a supervisor: closed when it is not live any more
}

const (
	incLive int32 = iota
	incDown
	incAbandoned
)

// over changes the phase of a live incarnation and reports whether it was live.
func (inc *incarnation) over(phase int32) bool {
	if !inc.phase.CompareAndSwap(incLive, phase) {
		return false
	}
	if inc.gone != nil {
		close(inc.gone)
	}
	return true
}

// abandon reports whether the incarnation was still live.
func (inc *incarnation) abandon() bool {
	if !inc.over(incAbandoned) {
		return false
	}
	inc.node.abandoned.Add(1)
	return true
}

// What a hook tells the supervisor of its actor.
type (
	childUp     struct{ inc *incarnation }
	childEnding struct {
		inc  *incarnation
		exit Exit
	}
	childDown struct {
		inc  *incarnation
		exit Exit
	}
)

// mailbox is protoactor's unbounded mailbox with a hook between it and the
// actor. A supervisor's children have no protoactor parent, because protoactor
// stops children in parallel and waits for each without limit; the hook sees
// what a parent would. It counts as well, for snapshots; only the hook writes.
type mailbox struct {
	actor.Mailbox
	system *actor.ActorSystem
	inc    *incarnation
	clock  *clock

	before  int64        // messages that older incarnations had handled
	handled atomic.Int64 // messages
	// began is when the newest message came, in the clock's milliseconds, and
	// below that the low 16 bits of its number. Thus the one store to handled, at
	// the end of the message, says that it is over as well. 0: it failed.
	began atomic.Int64
}

const numberBits = 16

// begin is called before message n of the incarnation, counted from 1.
func (b *mailbox) begin(n int64) { b.began.Store(b.clock.now()<<numberBits | n&(1<<numberBits-1)) }

// busySince is when the message came that is in Receive, if one is.
func (b *mailbox) busySince() (since time.Time, busy bool) {
	w := b.began.Load()
	if next := b.handled.Load() + 1; w == 0 || (w^next)&(1<<numberBits-1) != 0 {
		return time.Time{}, false
	}
	return b.clock.time(w >> numberBits), true
}

// total is how many messages the child has handled.
func (b *mailbox) total() int64 { return b.before + b.handled.Load() }

// RegisterHandlers is called once, when the actor is spawned.
func (b *mailbox) RegisterHandlers(inner actor.MessageInvoker, d actor.Dispatcher) {
	b.Mailbox.RegisterHandlers(&hook{inner: inner, system: b.system, inc: b.inc, box: b}, d)
}

// hook runs on the goroutine of the actor's mailbox, and so do all its fields.
// It turns whatever way an actor ends into one childDown, after the actor has
// handled Stopping and Stopped.
type hook struct {
	inner  actor.MessageInvoker
	system *actor.ActorSystem
	inc    *incarnation
	box    *mailbox
	exit   Exit

	dead    bool // it failed: what is queued is dropped
	drained bool // Drain was delivered
	ending  bool // Stop has been passed on
	broken  bool // it failed in Stopping or Stopped, so that protoactor did not finish
	down    bool // childDown was told
}

// InvokeUserMessage is the way of every message to the actor, so it reads no
// clock but ours and allocates nothing.
func (h *hook) InvokeUserMessage(m any) {
	if h.dead {
		return
	}
	returned := false
	defer func() {
		if !returned {
			h.failed(h.inc.node.caught(recover()), m)
		}
	}()
	n := h.box.handled.Load() + 1
	h.box.begin(n)
	h.inner.InvokeUserMessage(m)
	returned = true
	h.box.handled.Store(n)
}

// InvokeSystemMessage follows the actor's life.
func (h *hook) InvokeSystemMessage(m any) {
	switch m := m.(type) {
	case *actor.Started:
		h.pass(m)
		if !h.inc.starts {
			h.up()
		}
	case *ready:
		h.up()
	case *actor.Stop:
		if h.inc.drains {
			h.drain() // who stops it past its supervisor cannot know
			return
		}
		h.stop(Exit{})
	case *quit:
		h.stop(m.exit)
	case *Drain:
		h.drain()
	case *actor.Watch, *actor.Unwatch, *actor.Terminated:
		defer h.checkDown() // its own children may have been what it waited for
		h.pass(m)
	default: // a continuation, of which protoactor does not know that it came too late
		if !h.ending {
			h.pass(m)
		}
	}
}

func (h *hook) up() {
	if !h.ending {
		h.inc.tell(childUp{h.inc})
	}
}

// EscalateFailure is for what got past the hook's own recover, which is nothing.
func (h *hook) EscalateFailure(reason, m any) { h.failed(caught(reason), m) }

// pass passes a system message on.
func (h *hook) pass(m any) {
	returned := false
	defer func() {
		if !returned {
			h.failed(h.inc.node.caught(recover()), m)
		}
	}()
	h.inner.InvokeSystemMessage(m)
	returned = true
}

// drain has a Drainer begin to stop.
func (h *hook) drain() {
	if !h.drained && !h.ending {
		h.drained = true
		h.InvokeUserMessage(&Drain{})
	}
}

// stop ends the actor, for the reason that exit gives unless it was asked to.
func (h *hook) stop(exit Exit) {
	if h.ending {
		return
	}
	h.exit = exit
	if !h.inc.asked.Load() {
		h.inc.tell(childEnding{h.inc, exit})
	}
	h.finish()
}

// failed is called in a deferred function after a panic or a runtime.Goexit. In
// the latter case the goroutine ends when it returns and the mailbox is stuck
// for ever, so everything has to happen in here.
func (h *hook) failed(err error, m any) {
	h.box.began.Store(0)
	if h.ending {
		h.broken = true
		if h.exit.Err == nil {
			h.exit = Exit{Reason: Abnormal, Err: err, Message: actor.UnwrapEnvelopeMessage(m)}
		}
		return
	}
	h.dead = true
	h.stop(Exit{Reason: Abnormal, Err: err, Message: actor.UnwrapEnvelopeMessage(m)})
}

// finish has the actor handle Stopping and, unless it waits for children of its
// own, Stopped.
func (h *hook) finish() {
	h.ending = true
	defer h.checkDown() // deferred, because Stopping may call Goexit
	h.pass(&actor.Stop{})
}

// checkDown tells childDown once protoactor is done with the actor: it removes
// an actor from its registry just before Stopped.
func (h *hook) checkDown() {
	if !h.ending || h.down {
		return
	}
	if _, found := h.system.ProcessRegistry.GetLocal(h.inc.name); found {
		if !h.broken {
			return
		}
		h.system.ProcessRegistry.Remove(h.system.NewLocalPID(h.inc.name))
	}
	h.down = true
	if h.exit.Err == nil && h.inc.asked.Load() {
		h.exit.Reason = Shutdown
	}
	if !h.inc.over(incDown) {
		h.inc.node.ended(h.inc.gen)
		return
	}
	h.inc.tell(childDown{h.inc, h.exit})
}
