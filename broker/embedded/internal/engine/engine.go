package engine

import (
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/routing"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/store"
)

// Engine is an open broker. Its methods may be called concurrently.
type Engine struct {
	options      Options
	log          *slog.Logger
	store        *store.Store // nil: memory only
	bodyMemory   int64
	transientMax int64
	pressure     pressure
	began        int64     // the time of Open by the machine's clock, in microseconds
	opened       time.Time // the same moment, for what has passed since
	closed       atomic.Bool
	closing      sync.RWMutex // to set closed, or add to burials
	burials      sync.WaitGroup

	// topology is locked before queues. It is for changes: publishers read table.
	topology sync.Mutex
	table    atomic.Pointer[routing.Table[*Queue]]
	nextID   uint32 // of the next queue
	unsaved  map[string]*unsaved

	lanes sync.Map // of durable queues: store number to laneRef

	unpaced   atomic.Int64 // bytes for the log since pace looked
	memory    atomic.Int64 // bytes of messages in memory
	transient atomic.Int64 // those that are nowhere else

	channels, consumers         atomic.Int64
	published, delivered, acked atomic.Uint64
}

// Open replays Options.Dir and returns an engine. Its errors are the store's.
func Open(o Options) (*Engine, error) {
	o.defaults()
	e := &Engine{options: o, log: o.Logger, bodyMemory: o.BodyMemory, transientMax: o.Limits.TransientBytes, nextID: 1, unsaved: make(map[string]*unsaved)}
	e.opened = time.Now()
	e.began = e.opened.UnixMicro()
	e.pressure.tell = o.OnBlocked
	e.table.Store(routing.New[*Queue]())
	if o.Dir == "" {
		return e, nil
	}
	return e, e.openStore()
}

// Close stops timers and writes what is pending. Channels should be closed before:
// what they hold is delivered again after the next Open.
func (e *Engine) Close() error {
	e.closing.Lock()
	e.closed.Store(true)
	e.closing.Unlock()
	for _, q := range e.table.Load().Queues() {
		q.mu.Lock()
		q.quiet()
		q.mu.Unlock()
	}
	e.burials.Wait() // what has a dead letter must be gone before the log ends
	if e.store == nil {
		return nil
	}
	return e.store.Close()
}

// now is the time of the engine's clocks, in microseconds. The machine's clock is read
// by Open alone: one that is set later makes no message wait longer, or come earlier.
func (e *Engine) now() int64 { return e.began + time.Since(e.opened).Microseconds() }

// randomName returns prefix and 22 characters that nobody can guess, as RabbitMQ
// names queues and consumers.
func randomName(prefix string) string {
	var b [16]byte
	rand.Read(b[:])
	return prefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// Owner owns exclusive queues: one for each connection.
type Owner struct {
	e *Engine

	mu     sync.Mutex
	closed bool
	queues map[*Queue]struct{}
}

// NewOwner returns a new owner.
func (e *Engine) NewOwner() *Owner {
	return &Owner{e: e, queues: make(map[*Queue]struct{})}
}

// Close deletes the exclusive queues of the owner. Its channels are to be closed
// before.
func (o *Owner) Close() {
	o.mu.Lock()
	o.closed = true
	queues := o.queues
	o.queues = nil
	o.mu.Unlock()
	for q := range queues {
		q.mu.Lock()
		q.end()
		q.unlock()
		o.e.unlist(q)
	}
}

// add makes a queue exclusive. It reports false if the owner is closed.
func (o *Owner) add(q *Queue) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false
	}
	o.queues[q] = struct{}{}
	return true
}

func (o *Owner) remove(q *Queue) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.queues, q)
}
