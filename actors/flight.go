package actors

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/credit"
	"github.com/magne-actors/magne-actors/task"
)

// The states of a flight. Whoever wins the step out of queued decides whether the
// task runs; whoever wins the step out of running decides what became of it.
const (
	stateQueued    uint32 = iota // in the backlog, or assigned to a worker
	stateRunning                 // its handler runs
	stateEnding                  // its handler has returned; verdict is being set
	stateDone                    // verdict is set
	stateRevoked                 // taken back before it ran
	stateAbandoned               // still running, but no longer waited for
)

// flight is one delivery on its way through a pool. The router owns it; a
// worker may touch state and, once it has won queued->running, verdict.
type flight struct {
	delivery *broker.Delivery
	source   *source
	state    atomic.Uint32
	verdict  verdict

	// Written by the worker, before it puts the flight into pool.shown.
	message *task.Message
	began   time.Time
	context taskContext

	// Written by the worker before it reports the end.
	ended time.Time
	sum   uint64 // of the content, if the flight has a key

	// Owned by the router.
	phase      phase
	number     int64 // in the order of arrival
	key        key   // what later deliveries of the same run are known by, if at all
	claims     []claim
	orphan     bool     // it runs without a claim
	room       [1]claim // for claims
	heir       *flight  // waits for the result, in the router after the one that ran it
	slot       int      // index in the ledger
	worker     int
	assigned   time.Time
	prev, next *flight // in the router's list of assigned flights
	outgoing   *broker.Publication
	stripped   bool          // outgoing has lost the publisher's headers
	copied     bool          // the broker has outgoing
	delayed    bool          // outgoing goes to the ladder of delays
	tries      int           // publications of outgoing that failed
	arrived    time.Duration // after the opening of source
	warned     bool          // that it is old
	bounces    int           // how often a worker did not start it
	lost       int           // worker processes that have died under it
	alone      bool          // it was given to a worker that has nothing else
	timer      *time.Timer
}

// source is what the flights of one consumer have in common.
type source struct {
	consumer broker.Consumer // the only one on which its deliveries may be settled
	window   *window
	opened   time.Time
	isolated atomic.Bool // it is kept apart because of old deliveries

	// Owned by the router.
	open    int  // claims on its deliveries
	retired bool // the consumer is to be closed when open is 0
}

// window is what lasts as long as one incarnation of a router: the count of its
// deliveries in flight, and the context of its tasks. A flight that outlives its
// router is still counted where it was counted first.
type window struct {
	mark *credit.Watermark
	ctx  context.Context
}

// phase is where the router has a flight.
type phase uint8

const (
	inBacklog  phase = iota
	withWorker       // assigned: queued there, or running
	onHold           // waits for its next attempt
	publishing       // its copy is on the way to the broker
	awaiting         // another flight, of a router before us, runs its task
)

// again returns a fresh flight for the delivery of f, which was revoked: an old
// mailbox or goroutine may still hold f and must not win with it.
func (f *flight) again() *flight {
	fresh := &flight{delivery: f.delivery, source: f.source, number: f.number, key: f.key, bounces: f.bounces, lost: f.lost, warned: f.warned}
	f.moveTo(fresh)
	return fresh
}

// current is the context of the flight's task, or of all of its router's as long as
// it has none of its own.
func (f *flight) current() context.Context {
	if f.context.base != nil {
		return &f.context
	}
	return f.source.window.ctx
}
