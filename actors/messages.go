package actors

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/magne-actors/magne-actors/broker"
)

// assign is a flight on its way to a worker, finished one on its way back.
// Being the flight itself they cost no allocation.
type (
	assign   flight
	finished flight
)

// Messages to the router.
type (
	// arrivals are new flights from the pump, counted in the watermark.
	arrivals struct{ flights []*flight }

	workerUp struct {
		worker     int
		generation int64
		pid        *actor.PID
	}
	// workerDown ends a generation of a worker: what it had not started goes to
	// others.
	workerDown struct {
		worker     int
		generation int64
	}

	// workerAble says whether the worker takes tasks, while it is up.
	workerAble struct {
		worker int
		pid    *actor.PID
		able   bool
	}

	// handBack comes after the last arrivals of source, a consumer that was
	// cancelled to be closed when its deliveries are settled, or alone with nil.
	// The router closes done, if it is not nil.
	handBack struct {
		source *source
		done   chan<- struct{}
	}

	// burstOver ends a router whose queue is empty; see Options.Burst.
	burstOver struct{}

	// consumerLost comes after the last arrivals of a consumer that died: what
	// it delivered belongs to somebody else now.
	consumerLost struct{ source *source }

	// retryDue ends the wait of a flight on hold, published is the outcome of a
	// publication, republish the end of the wait after one that failed.
	retryDue  struct{ flight *flight }
	published struct {
		flight  *flight
		err     error
		release func(keep bool) // not nil: the copy is in the spool and held back there
	}
	republish struct{ flight *flight }

	// awaited ends the wait of a flight for a task of the router before.
	awaited struct{ flight *flight }

	// sweep looks for tasks that have outlived their timeout.
	sweep struct{}

	// drain hands back what has not started and lets the rest finish;
	// intakeClosed says that no more arrivals will come.
	drain        struct{}
	intakeClosed struct{}
	// cutoff cancels what still runs; giveUp hands back what runs even then.
	cutoff struct {
		cause error
		grace time.Duration
	}
	giveUp struct{}
)

// abandon tells a worker that the flight's goroutine or thread is lost to it.
type abandon struct{ flight *flight }

// Messages to the broker actor.
type (
	routerUp   struct{ pool *pool }
	routerDown struct{ pool *pool }

	dial      struct{ epoch int }
	connected struct {
		epoch   int
		session broker.Session
		err     error
	}
	sessionLost struct {
		epoch int
		err   error
	}

	// sessionBlocked says that the broker takes no publications, or does again.
	sessionBlocked struct {
		epoch   int
		blocked bool
		reason  string
	}

	subscribe struct {
		pool *pool
		try  int
	}
	subscribed struct {
		pool     *pool
		try      int
		window   *window // of the router that the consumer delivers to
		credit   int
		consumer broker.Consumer
		err      error
	}
	declared struct {
		pool       *pool
		epoch, try int
		err        error
	}
	consumerEnded struct {
		pool     *pool
		consumer broker.Consumer
		err      error
	}

	// intakeChanged asks to look again whether and how the pool shall be consumed.
	// done is closed when what is not wanted any more has been handed back.
	intakeChanged struct {
		pool *pool
		done chan<- struct{}
	}
	// consumerIdle says that a retired consumer's last delivery is settled.
	consumerIdle struct{ consumer broker.Consumer }
	// leave ends the intake of one pool as drain does those of all; left forgets it.
	leave struct{ pool *pool }
	left  struct{ pool *pool }

	publish struct {
		pool     *pool
		flight   *flight
		consumer broker.Consumer // that the delivery is settled on afterwards
		asked    time.Time
	}
	// starving says that a consumer gets nothing although messages wait.
	starving struct {
		pool   *pool
		answer string
	}
	// redeclare says that a copy reached no queue: somebody has deleted it. gone says
	// that it is the one that the pool consumes.
	redeclare struct {
		pool *pool
		gone bool
	}
	// redeclared says that the queue of a consumer was gone and is there again.
	redeclared struct {
		pool     *pool
		consumer broker.Consumer
	}

	// hangUp closes the session, and then sends to done, which has capacity 1.
	hangUp struct {
		within time.Duration
		done   chan<- struct{}
	}

	// crashed is the failure of a goroutine that the actor owns.
	crashed struct{ err error }
)
