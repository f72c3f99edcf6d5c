package topology

import (
	"context"
	"fmt"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/internal/management"
)

// Sources are who is asked beside the broker itself. The zero value asks nobody.
type Sources struct {
	// Listed is what was listed already.
	Listed *Listed
	// Progress, when not nil, is told how many objects were looked at.
	Progress func(done int)
}

// Look asks the broker for every exchange and queue, and changes nothing. It blocks
// for some milliseconds for each, or until ctx ends.
func Look(ctx context.Context, a *amqp.Admin, want []Object, s Sources) (Facts, error) {
	f := Facts{Exchanges: map[string]amqp.Seen{}, Queues: map[string]amqp.Seen{}, Refused: map[string]string{}, Listed: s.Listed}
	for i, o := range want {
		var err error
		var seen amqp.Seen
		switch o.Kind {
		case KindExchange:
			seen, err = a.LookExchange(ctx, o.exchange())
			f.Exchanges[o.Name] = seen
		case KindQueue:
			seen, err = a.LookQueue(ctx, o.spec())
			f.Queues[o.Name] = seen
		case KindBinding:
		}
		if err == nil && seen.Presence == amqp.Missing {
			err = f.mayMake(ctx, a, &o)
		}
		if err != nil {
			return f, err
		}
		if s.Progress != nil {
			s.Progress(i + 1)
		}
	}
	return f, nil
}

// mayMake notes a refusal to come.
func (f *Facts) mayMake(ctx context.Context, a *amqp.Admin, o *Object) error {
	if product, _ := a.Product(); product != "RabbitMQ" {
		return nil
	}
	g, words, err := a.May(ctx, amqp.Right{Permission: "configure", Kind: string(o.Kind), Name: o.Name})
	if err == nil && g == amqp.Refused {
		f.Refused[o.id()] = words
	}
	return err
}

// Apply makes what the plan lacks, and returns how many objects it has made. It
// stops at the first that is refused: nothing that exists was changed then, and it
// may be called again with a new plan. It blocks until all is done or ctx ends.
func Apply(ctx context.Context, a *amqp.Admin, p Plan, progress func(done int)) (made int, err error) {
	var bindings []broker.Binding
	for i := range p.Changes {
		c := &p.Changes[i]
		switch {
		case c.Kind == KindBinding && (c.State == Create || c.State == Unknown):
			bindings = append(bindings, c.Binding())
			continue
		case c.State != Create:
			continue
		case c.Kind == KindExchange:
			err = a.DeclareExchange(ctx, c.exchange())
		default:
			_, err = a.Declare(ctx, c.spec())
		}
		if err != nil {
			return made, fmt.Errorf("topology: %w", err)
		}
		made++
		progress(made)
	}
	n, err := a.Bind(ctx, bindings)
	made += n
	progress(made)
	if err != nil {
		return made, fmt.Errorf("topology: %w", err)
	}
	return made, nil
}

// List asks the management API for all exchanges, queues and bindings of a virtual
// host.
func List(ctx context.Context, c *management.Client, vhost string) (*Listed, error) {
	exchanges, err := c.Exchanges(ctx, vhost)
	if err != nil {
		return nil, err
	}
	queues, err := c.Queues(ctx, vhost)
	if err != nil {
		return nil, err
	}
	bindings, err := c.Bindings(ctx, vhost)
	if err != nil {
		return nil, err
	}
	l := &Listed{Bindings: true}
	for _, e := range exchanges {
		l.Objects = append(l.Objects, Object{Kind: KindExchange, Name: e.Name, Type: e.Type, Durable: e.Durable, Args: e.Arguments})
	}
	for _, q := range queues {
		l.Objects = append(l.Objects, Object{Kind: KindQueue, Name: q.Name, Durable: q.Durable, Args: q.Arguments})
	}
	for _, b := range bindings {
		o := Object{Kind: KindBinding, Name: b.Destination, Exchange: b.Source, Key: b.RoutingKey, ToExchange: b.DestinationType == "exchange", Args: b.Arguments}
		l.Objects = append(l.Objects, o)
	}
	return l, nil
}
