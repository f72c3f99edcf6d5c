package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/magne-actors/magne-actors/actors"
	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/internal/ballast"
	"github.com/magne-actors/magne-actors/supervisor"
)

// runActors runs the system until everything is settled, and drains it then.
func runActors(ctx context.Context, j *job, m *meter) error {
	defer ballast.Program()() // as `magne-actors run` does
	sc, err := scenarioByName(j.Scenario)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pool := actors.Pool{
		Queue: queueOf(sc, j.System, j.Queue), Codec: sc.codec,
		Workers: j.Workers, High: j.High, Low: j.Low, Timeout: sc.timeout,
	}
	if sc.python {
		options, remove, err := pythonWorkers()
		if err != nil {
			return err
		}
		defer remove()
		pool.Mode, pool.Process = actors.Process, options
	} else {
		pool.Mux, pool.Slots = sc.mux(j, m), (j.High+j.Workers-1)/j.Workers
	}
	o := actors.Options{
		Dialer: meteredDialer{amqp.Dialer{URL: j.URL}, m, cancel}, Pools: []actors.Pool{pool},
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	remove, err := insure(&o, j.System)
	if err != nil {
		return err
	}
	s, err := actors.New(o)
	if err != nil {
		return errors.Join(err, remove())
	}
	m.start()
	if err := errors.Join(s.Run(ctx), remove()); err != nil {
		return err
	}
	return m.readRouter(find(s.Tree(), "router"))
}

// readRouter takes what only the runtime knows from its node in the tree.
func (m *meter) readRouter(n *supervisor.Node) error {
	if n == nil || n.Peak == nil || n.Pauses == nil || n.Settled == nil {
		return errors.New("the tree does not tell of the router")
	}
	if *n.Settled != m.n {
		return fmt.Errorf("%d deliveries were settled, want %d", *n.Settled, m.n)
	}
	m.inFlight.peak.Store(*n.Peak)
	m.pauses = *n.Pauses
	return nil
}

// find returns the first node of that kind, nil when there is none.
func find(n *supervisor.Node, kind string) *supervisor.Node {
	if n == nil || n.Kind == kind {
		return n
	}
	for _, c := range n.Children {
		if found := find(c, kind); found != nil {
			return found
		}
	}
	return nil
}

// meteredDialer lets the meter know of the settlements that the broker was told,
// and stops the system after the last one.
type meteredDialer struct {
	broker.Dialer
	m    *meter
	stop func()
}

// Dial implements [broker.Dialer].
func (d meteredDialer) Dial(ctx context.Context) (broker.Session, error) {
	s, err := d.Dialer.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return meteredSession{s, d}, nil
}

type meteredSession struct {
	broker.Session
	d meteredDialer
}

// Consume implements [broker.Session].
func (s meteredSession) Consume(ctx context.Context, src broker.Source) (broker.Consumer, error) {
	settled := src.Settled
	src.Settled = func(n int) {
		settled(n)
		s.d.m.settle(n)
		if s.d.m.settled.Load() >= s.d.m.n {
			s.d.stop()
		}
	}
	return s.Session.Consume(ctx, src)
}
