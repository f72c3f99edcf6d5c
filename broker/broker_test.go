package broker_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magne-actors/magne-actors/broker"
)

// fake answers publications as its functions say.
type fake struct {
	broker.Session
	refuse error         // what Publish returns
	answer error         // what done gets
	after  time.Duration // when
}

func (f fake) Publish(_ context.Context, _ *broker.Publication, done func(error)) error {
	if f.refuse != nil {
		return f.refuse
	}
	time.AfterFunc(f.after, func() { done(f.answer) })
	return nil
}

func TestPublishAndWait(t *testing.T) {
	for name, c := range map[string]struct {
		session fake
		want    []error // each is wrapped; none: success
	}{
		"confirmed":  {session: fake{after: time.Second}},
		"refused":    {session: fake{answer: broker.ErrRefused}, want: []error{broker.ErrRefused}},
		"not taken":  {session: fake{refuse: broker.ErrClosed}, want: []error{broker.ErrClosed}},
		"no confirm": {session: fake{after: time.Hour}, want: []error{broker.ErrUnknown, context.DeadlineExceeded}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				err := broker.PublishAndWait(ctx, c.session, &broker.Publication{})
				if len(c.want) == 0 && err != nil {
					t.Errorf("got %v, want no error", err)
				}
				for _, want := range c.want {
					if !errors.Is(err, want) {
						t.Errorf("got %v, want %v", err, want)
					}
				}
			})
		})
	}
}

func TestBindingKey(t *testing.T) {
	q := broker.Queue{Name: "orders"}
	if got := q.BindingKey(); got != "orders" {
		t.Errorf("without Key: got %q, want the name", got)
	}
	q.Key = "new"
	if got := q.BindingKey(); got != "new" {
		t.Errorf("with Key: got %q, want it", got)
	}
}
