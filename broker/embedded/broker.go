package embedded

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/engine"
)

// ErrClosed is returned by Serve and Dial after Close.
var ErrClosed = errors.New("embedded: broker is closed")

// Broker is an open broker. Its methods may be called concurrently.
type Broker struct {
	o      Options
	log    *slog.Logger
	engine *engine.Engine
	auth   *authenticator
	opened time.Time

	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	mu        sync.Mutex
	closed    bool
	conns     map[*conn]struct{}
	pending   int // of conns: without connection.open so far
	accepted  uint64
	listeners map[net.Listener]struct{}
	alarms    alarms

	running sync.WaitGroup // goroutines of connections, and the sweeper
}

// Open takes Options.Dir, replays what is in it and returns a broker that
// nobody can reach yet: Serve and Dial let clients in. The error is a
// *LockedError if another process uses the directory, a *CorruptError or
// *VersionError if it cannot be read, or says which option is wrong.
func Open(o Options) (*Broker, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	b := &Broker{
		o: o, log: o.Logger, auth: newAuthenticator(o.Users), opened: time.Now(),
		conns: map[*conn]struct{}{}, listeners: map[net.Listener]struct{}{},
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.engine, err = engine.Open(engine.Options{
		Dir: o.Dir, Fsync: o.Fsync, BodyMemory: o.BodyMemory,
		Limits:          engine.Limits{Queues: o.Limits.Queues, TransientBytes: o.Limits.TransientBytes},
		ConsumerTimeout: o.ConsumerTimeout,
		OnBlocked:       func(reason string) { b.alarm(alarmEngine, reason) },
		Logger:          o.Logger,
	})
	if err != nil {
		b.cancel()
		return nil, err
	}
	o.Faults.attach(b)
	b.running.Go(b.sweep)
	return b, nil
}
