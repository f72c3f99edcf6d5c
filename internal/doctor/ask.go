package doctor

import (
	"context"
	"time"

	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/config"
	"github.com/magne-actors/magne-actors/internal/management"
	"github.com/magne-actors/magne-actors/internal/topology"
)

// Of returns what a configuration says by itself.
func Of(f *config.File) Facts {
	facts := Facts{Embedded: f.Broker.IsEmbedded(), Lint: f.Warnings()}
	need := 64 // connections, log, control and its clients
	for i := range f.Pools {
		p := &f.Pools[i]
		durable, delays := topology.Waits(&p.Retry)
		facts.Pools = append(facts.Pools, Pool{
			Name: p.Name, Queue: p.Queue, Codec: p.Codec, Declare: p.Declare, High: p.Watermarks.High,
			Unsettled: unsettled(p), Durable: durable, Delays: delays,
		})
		need += sockets(p)
	}
	facts.Files.Need = need
	return facts
}

// unsettled is how long a delivery of the pool may stay so, 0 without bound.
func unsettled(p *config.Pool) time.Duration {
	if p.Timeout.Hard == 0 {
		return 0
	}
	wait := p.Retry.Hold
	if p.Retry.Delay == "memory" {
		wait = p.Retry.Max
	}
	return max(p.Timeout.Hard+p.Timeout.KillAfter, wait)
}

// sockets is how many files the tasks of a pool may need: a connection for each that
// runs over HTTP; pipes, a pidfd and what is open for a moment for a process.
func sockets(p *config.Pool) int {
	const each = 8
	switch {
	case p.HasProcesses() && p.Mode == "oneshot":
		return each * p.Capacity()
	case p.HasProcesses():
		return each * p.MaxWorkers()
	}
	for _, t := range p.Tasks {
		if t.HTTP != nil {
			return p.Capacity()
		}
	}
	return 0
}

// Questions say what to ask a broker for.
type Questions struct {
	Want  []topology.Object
	API   *management.Client // nil: nobody
	VHost string
	// Progress, when not nil, is told how many objects were looked at.
	Progress func(done int)
}

// Ask adds what a broker and its management API tell. It changes nothing, and blocks
// until all is answered or ctx ends. The error is that of the connection; what the API
// does not tell is a fact.
func (f *Facts) Ask(ctx context.Context, a *amqp.Admin, q Questions) error {
	product, version := a.Product()
	f.Broker = &Broker{Product: product, Version: version}
	var listed *topology.Listed
	if q.API != nil {
		f.API = askAPI(ctx, q.API, q.VHost)
		var err error
		if listed, err = topology.List(ctx, q.API, q.VHost); err != nil {
			listed = nil // askAPI has noted why
		}
	}
	seen, err := topology.Look(ctx, a, q.Want, topology.Sources{Listed: listed, Progress: q.Progress})
	if err != nil {
		return err
	}
	f.Objects = topology.Compare(q.Want, seen).Changes
	for _, r := range f.needed() {
		r.Grant, r.Words, err = a.May(ctx, r.Right)
		if err != nil {
			return err
		}
		f.Rights = append(f.Rights, r)
	}
	return nil
}

// needed are the rights that the pools need of this user.
func (f *Facts) needed() []Right {
	if f.Broker.Product != "RabbitMQ" {
		return nil
	}
	var all []Right
	need := func(permission, kind, name, path, what string) {
		r := amqp.Right{Permission: permission, Kind: kind, Name: name}
		for _, other := range all {
			if other.Right == r {
				return
			}
		}
		all = append(all, Right{Right: r, Path: path, For: what})
	}
	for _, p := range f.Pools {
		at := "pools." + p.Name
		need("read", "queue", p.Queue, at+".queue", "consume")
		need("write", "exchange", "", at+".retry", "return a task to its queue")
		need("write", "exchange", amqp.DeadExchange, at+".queue", "publish dead letters")
		if p.Delays {
			need("write", "exchange", "magne.v1.delay.0", at+".retry.delay", "have retries wait on the broker")
		}
	}
	for i := range f.Objects {
		c := &f.Objects[i]
		if c.Kind != topology.KindBinding && c.State != topology.Forbidden && c.Name != topology.EntryExchange && !isLadder(c) && declared(f, c) {
			need("configure", string(c.Kind), c.Name, "pools."+c.Pools[0]+".declare", "declare it (declare: passive needs no such right)")
		}
	}
	return all
}

// askAPI asks for everything, and notes what was refused.
func askAPI(ctx context.Context, c *management.Client, vhost string) *API {
	a := &API{}
	note := func(err error) bool {
		if err != nil {
			a.Errs = append(a.Errs, err.Error())
		}
		return err == nil
	}
	before := time.Now()
	overview, err := c.Overview(ctx)
	if after := time.Now(); note(err) {
		a.Overview = &overview
		a.Blur = after.Sub(before)/2 + time.Second // the header has whole seconds
		a.Skew = overview.Clock.Sub(before.Add(after.Sub(before) / 2))
	} else {
		return a // nobody is there, or lets us in
	}
	a.Nodes, err = c.Nodes(ctx)
	note(err)
	a.Queues, err = c.Queues(ctx, vhost)
	note(err)
	a.Policies, err = c.Policies(ctx, vhost)
	a.PoliciesKnown = note(err)
	if a.PoliciesKnown {
		a.OperatorPolicies, err = c.OperatorPolicies(ctx, vhost)
		a.PoliciesKnown = note(err)
	}
	return a
}
