package publisher_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/publisher"
	"github.com/magne-actors/magne-actors/internal/ladder"
	"github.com/magne-actors/magne-actors/task"
	"github.com/magne-actors/magne-actors/task/codec"
)

func TestSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		p := open(t, publisher.Options{Dialer: s, AppID: "shop"})
		defer shut(t, p)
		m := &task.Message{Name: "ship", Args: json.RawMessage(`[42]`)}
		if err := p.Send(t.Context(), "work", m); err != nil {
			t.Fatal(err)
		}
		if err := p.SendTo(t.Context(), broker.Queue{Name: "work", Exchange: "jobs", Key: "other"}, m); err != nil {
			t.Fatal(err)
		}
		got := s.Ready("work")[0]
		raw := &task.Raw{ContentType: got.ContentType, MessageID: got.MessageID, Type: got.Type, Headers: got.Headers, Body: got.Body}
		back, err := codec.JSON{}.Decode(raw)
		if err != nil || back.Name != "ship" || back.ID == "" || string(back.Args) != "[42]" || m.ID != "" {
			t.Errorf("%+v, %v", back, err)
		}
		if !got.Persistent || got.AppID != "shop" || !got.Timestamp.Equal(time.Now()) {
			t.Errorf("properties: %+v", got.Properties)
		}
		if other := s.Ready("other"); len(other) != 1 || other[0].Exchange != "jobs" {
			t.Errorf("by an exchange: %+v", other)
		}
		if err := p.Send(t.Context(), "work", &task.Message{}); !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("without a name: %v", err)
		}
	})
}

// TestDelays: a task is due when it was to be, although it had to wait for the broker.
func TestDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		p := open(t, publisher.Options{Dialer: s})
		defer shut(t, p)
		s.Deny(broker.ErrUnreachable)
		begin := time.Now()
		sent := make(chan error, 2)
		for _, option := range []publisher.TaskOption{publisher.In(time.Hour), publisher.At(begin.Add(time.Hour))} {
			go func() { sent <- p.Send(t.Context(), "work", &task.Message{Name: "late"}, option) }()
		}
		time.Sleep(50 * time.Minute)
		s.Deny(nil)
		for range 2 {
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
		}
		c, err := s.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		consumer, err := c.Consume(t.Context(), broker.Source{Queue: broker.Queue{Name: "work"}, Credit: 10})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			d := <-consumer.Deliveries()
			if late := time.Since(begin) - time.Hour; late < 0 || late > ladder.Unit {
				t.Errorf("came %v after it was due", late)
			}
			if eta := d.Headers[ladder.HeaderETA]; eta != begin.Add(time.Hour).UTC().Format(ladder.ETAFormat) || d.Headers[ladder.HeaderQueue] != "work" {
				t.Errorf("headers %v", d.Headers)
			}
			if err := consumer.Settle(d.Tag, broker.Ack); err != nil {
				t.Error(err)
			}
		}
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := p.Send(t.Context(), "work", &task.Message{Name: "now"}, publisher.At(begin)); err != nil || s.Len("work") != 1 {
			t.Errorf("what is over: %v, %d in the queue", err, s.Len("work"))
		}
		for name, option := range map[string]publisher.TaskOption{"work": publisher.In(publisher.MaxDelay + time.Second), "a..b": publisher.In(time.Hour)} {
			if err := p.Send(t.Context(), name, &task.Message{Name: "never"}, option); !errors.Is(err, broker.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// unlaid is a broker without a ladder, on which all but the queue "work" is missing.
type unlaid struct {
	*stage
	forbid bool
	laid   int
	cutOff bool // it was declared, but not all of it
}

type unlaidSession struct {
	broker.Session
	b *unlaid
}

func (u *unlaid) Dial(ctx context.Context) (broker.Session, error) {
	s, err := u.stage.Dial(ctx)
	return &unlaidSession{s, u}, err
}

func (s *unlaidSession) Apply(ctx context.Context, t broker.Topology) error {
	switch {
	case s.b.forbid:
		return broker.ErrForbidden
	case len(t.Queues) > 0:
		s.b.laid++
	case s.b.laid == 0 && !s.b.cutOff || !strings.HasSuffix(t.Bindings[0].Queue, "work"):
		return broker.ErrTopology
	}
	return s.Session.Apply(ctx, t)
}

// TestLadderCutOff: a ladder of which something is missing is declared once more.
func TestLadderCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &unlaid{stage: newStage(), cutOff: true}
		u.answer = func(*broker.Publication) error {
			if u.laid == 0 {
				return broker.ErrUnroutable
			}
			return nil
		}
		p := open(t, publisher.Options{Dialer: u})
		for range 2 {
			if err := p.Send(t.Context(), "work", &task.Message{Name: "t"}, publisher.In(time.Minute)); err != nil {
				t.Error(err)
			}
		}
		u.answer = func(*broker.Publication) error { return broker.ErrUnroutable }
		if err := p.Send(t.Context(), "work", &task.Message{Name: "t"}, publisher.In(time.Minute)); !errors.Is(err, broker.ErrUnroutable) {
			t.Errorf("where that does not help: %v", err)
		}
		if u.laid != 1 {
			t.Errorf("declared %d times", u.laid)
		}
		shut(t, p)
		time.Sleep(time.Hour) // the fake's timers
	})
}

// TestLadder: it is declared where it is missing, once for each session, and not by
// those who may not.
func TestLadder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, forbid := range []bool{false, true} {
			u := &unlaid{stage: newStage(), forbid: forbid}
			p := open(t, publisher.Options{Dialer: u})
			for range 3 {
				if err := p.Send(t.Context(), "work", &task.Message{Name: "t"}, publisher.In(time.Hour)); err != nil {
					t.Error(err)
				}
			}
			if u.laid != 1 && !forbid || u.laid > 0 && forbid {
				t.Errorf("forbidden %t: declared %d times", forbid, u.laid)
			}
			if err := p.Send(t.Context(), "missing", &task.Message{Name: "t"}, publisher.In(time.Hour)); errors.Is(err, broker.ErrUnroutable) == forbid {
				t.Errorf("forbidden %t: a missing queue: %v", forbid, err)
			}
			if n := u.Delayed(); n != 3 && !forbid {
				t.Errorf("%d wait, want 3", n)
			}
			shut(t, p)
		}
		time.Sleep(2 * time.Hour) // the fake's timers
	})
}
