package publisher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/ladder"
	"github.com/magne-actors/magne-actors/task"
)

// MaxDelay is the longest wait of a delayed task: a leap year.
const MaxDelay = ladder.MaxDelay

// TaskOption is [In] or [At].
type TaskOption func(due *time.Time, now time.Time)

// In has a task run after a time, at most MaxDelay, counted from the call of Task or
// Send. It waits on the broker, see docs/delays.md. 0 and less is no delay.
func In(after time.Duration) TaskOption {
	return func(due *time.Time, now time.Time) {
		if *due = now.Add(after); after <= 0 {
			*due = time.Time{}
		}
	}
}

// At has a task run at a moment, by the clock of this machine. It waits on the broker.
// What is due already is published at once.
func At(moment time.Time) TaskOption {
	return func(due *time.Time, _ time.Time) { *due = moment }
}

// Task makes the publication that brings m to a queue: by the exchange and key of q, if
// it has one, and by its name otherwise. The publication is persistent. A missing id is
// made up; m is not changed. A delayed task has the ladder of delays declared when it
// is published, where that is missing and the user may. The error says what cannot be
// sent: it wraps [broker.ErrInvalid].
func (p *Publisher) Task(q broker.Queue, m *task.Message, opts ...TaskOption) (*broker.Publication, error) {
	with := *m
	if with.ID == "" {
		with.ID = uuid.NewString()
	}
	raw, err := p.o.Codec.Encode(&with)
	if err != nil {
		return nil, fmt.Errorf("publisher: %w: task %q as %s: %w", broker.ErrInvalid, m.Name, p.o.Codec.Name(), err)
	}
	now := time.Now()
	out := &broker.Publication{RoutingKey: q.Name, Body: raw.Body}
	if q.Exchange != "" {
		out.Exchange, out.RoutingKey = q.Exchange, q.BindingKey()
	}
	out.ContentType, out.Headers, out.Type, out.MessageID = raw.ContentType, raw.Headers, raw.Type, cmp.Or(raw.MessageID, with.ID)
	out.Persistent, out.AppID, out.Timestamp = true, p.o.AppID, now.Truncate(time.Second)
	var due time.Time
	for _, option := range opts {
		option(&due, now)
	}
	if due.IsZero() {
		return out, nil
	}
	return out, postpone(out, q.Name, due, now)
}

// Send publishes a task to the queue of that name and waits as Publish does. It is for
// queues that the default exchange leads to, which are all; see Task for another way.
func (p *Publisher) Send(ctx context.Context, queue string, m *task.Message, opts ...TaskOption) error {
	return p.SendTo(ctx, broker.Queue{Name: queue}, m, opts...)
}

// SendTo publishes a task to a queue by its exchange, as Task does, and waits as
// Publish does.
func (p *Publisher) SendTo(ctx context.Context, q broker.Queue, m *task.Message, opts ...TaskOption) error {
	out, err := p.Task(q, m, opts...)
	if err != nil {
		return err
	}
	return p.Publish(ctx, out)
}

// postpone makes p one that arrives in a queue when it is due, if it can.
func postpone(p *broker.Publication, queue string, due, now time.Time) error {
	if err := ladder.Routable(queue); err != nil {
		return fmt.Errorf("publisher: %w: %w", broker.ErrInvalid, err)
	}
	if due.Sub(now) > MaxDelay {
		return fmt.Errorf("publisher: %w: due %s, which is more than a year from now", broker.ErrInvalid, due.UTC().Format(time.RFC3339))
	}
	ladder.Postpone(p, queue, due, now)
	return nil
}

// reroute has a delayed publication wait for what is left of its time: it may have
// waited here for the broker.
func reroute(p *broker.Publication, queue string, now time.Time) {
	text, _ := p.Headers[ladder.HeaderETA].(string)
	if due, err := time.Parse(ladder.ETAFormat, text); err == nil {
		p.Exchange, p.RoutingKey = ladder.Route(due.Sub(now), queue)
	}
}

// noQueue is what it means that the way to a queue cannot be declared.
func noQueue(err error) error {
	if errors.Is(err, broker.ErrTopology) {
		return fmt.Errorf("%w: %w", broker.ErrUnroutable, err)
	}
	return err
}
