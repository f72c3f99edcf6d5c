package dedup

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/magne-actors/magne-actors/task"
)

// Options of New; the zero value is usable.
type Options struct {
	// Lease is how long a key is held without a renewal: after that time the task of
	// a process that died is run by another one. It is renewed at a third. 1 min by
	// default.
	Lease time.Duration
	// Wait is after which time a message comes again whose task is running elsewhere;
	// a third of Lease by default.
	Wait time.Duration
	// Key is the key of a message: by default its queue, name and ID. "" is not
	// deduplicated. The attempt is better not a part of it: a task that has succeeded
	// is done whatever its attempt.
	Key func(m *task.Message) string
}

func (o Options) withDefaults() Options {
	o.Lease = cmp.Or(o.Lease, time.Minute)
	o.Wait = cmp.Or(o.Wait, o.Lease/3)
	if o.Key == nil {
		o.Key = KeyOf
	}
	return o
}

// KeyOf is the key of a message when Options.Key is nil; "" without an ID.
func KeyOf(m *task.Message) string {
	if m.ID == "" {
		return ""
	}
	return m.Queue + "/" + m.Name + "/" + m.ID
}

// New returns middleware that has a handler run only if the store says Fresh. A
// message that is done succeeds without a run; one that is run by somebody else is put
// off with task.Retry, which uses up no attempt. A handler that succeeds has its key
// marked before the message is acked; one that fails gives it back. When the store
// fails the handler does not run, and the attempt has failed.
func New(s Store, o Options) task.Middleware {
	o = o.withDefaults()
	return func(next task.Handler) task.Handler {
		return task.HandlerFunc(func(ctx context.Context, m *task.Message) error {
			key := o.Key(m)
			if key == "" {
				return next.Handle(ctx, m)
			}
			state, token, err := s.Begin(ctx, key, o.Lease)
			switch {
			case err != nil:
				return fmt.Errorf("dedup: begin %q: %w", key, err)
			case state == Done:
				return nil
			case state == Running:
				return task.Retry(fmt.Errorf("dedup: %q is being run elsewhere", key), o.Wait)
			}
			h := &holding{store: s, key: key, token: token, lease: o.Lease}
			return h.run(ctx, m, next)
		})
	}
}

// holding is a key that this process holds while a handler runs.
type holding struct {
	store Store
	key   string
	token Token
	lease time.Duration
}

type holdingKey struct{}

// TokenOf is the token under which a handler runs, and its key; false without the
// middleware.
func TokenOf(ctx context.Context) (key string, t Token, ok bool) {
	h, ok := ctx.Value(holdingKey{}).(*holding)
	if !ok {
		return "", 0, false
	}
	return h.key, h.token, true
}

func (h *holding) run(ctx context.Context, m *task.Message, next task.Handler) (err error) {
	held, lose := context.WithCancelCause(context.WithValue(ctx, holdingKey{}, h))
	ended := make(chan struct{})
	go h.renew(held, lose, ended)
	returned := false
	defer func() { // also after a panic and runtime.Goexit
		lose(nil)
		<-ended
		if !returned {
			h.release(ctx)
		}
	}()
	err = next.Handle(held, m)
	returned = true
	if err != nil {
		h.release(ctx)
		return err
	}
	finish, cancel := h.detached(ctx)
	defer cancel()
	if err := h.store.Done(finish, h.key, h.token); err != nil {
		return fmt.Errorf("dedup: the task has succeeded, but its key %q could not be marked: %w", h.key, err)
	}
	return nil
}

// detached is for what must be done although the task's time is over.
func (h *holding) detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), max(h.lease/3, time.Second))
}

// release lets the next attempt begin at once; if it fails, the end of the lease does.
func (h *holding) release(ctx context.Context) {
	ctx, cancel := h.detached(ctx)
	defer cancel()
	_ = h.store.Release(ctx, h.key, h.token)
}

// renew keeps the lease until ctx ends. It cancels the handler when the lease is lost,
// or is over because the store cannot be reached.
func (h *holding) renew(ctx context.Context, lose context.CancelCauseFunc, ended chan<- struct{}) {
	defer close(ended)
	defer func() {
		if r := recover(); r != nil { // of the Store: the process must not end for that
			lose(fmt.Errorf("%w: panic: %v\n%s", ErrLostLease, r, debug.Stack()))
		}
	}()
	tick := time.NewTicker(h.lease / 3)
	defer tick.Stop()
	good := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		at := time.Now()
		limited, cancel := context.WithTimeout(ctx, h.lease/3)
		err := h.store.Renew(limited, h.key, h.token, h.lease)
		cancel()
		switch {
		case err == nil:
			good = at
		case isLost(err) || time.Since(good) >= h.lease-h.lease/3:
			lose(fmt.Errorf("%w: %w", ErrLostLease, err))
			return
		}
	}
}
