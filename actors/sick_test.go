package actors

import (
	"errors"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
)

// actorFunc is an actor in a test.
type actorFunc func(actor.Context)

// Receive calls f.
func (f actorFunc) Receive(ctx actor.Context) { f(ctx) }

// adopt adds a pool whose workers are what wrap makes of them.
func (r *rig) adopt(o Pool, wrap func(*worker) actorFunc) *pool {
	r.t.Helper()
	p, err := r.system.newPool(o.withDefaults())
	r.expect(err)
	p.worker = func(i int) actor.Actor { return wrap(newWorker(p, i).(*worker)) }
	r.system.put(append(r.system.all(), p))
	r.expect(r.system.system.Add(r.t.Context(), "pools", p.child()))
	return p
}

// failing panics at each task as long as it is ill.
func failing(w *worker, ill *atomic.Bool) actorFunc {
	return func(ctx actor.Context) {
		if _, ok := ctx.Message().(*assign); ok && ill.Load() {
			panic(errors.New("sick"))
		}
		w.Receive(ctx)
	}
}
