package copies

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/supervisor"
)

// wish is what an operator has asked of a pool and a new process would not know.
type wish struct {
	paused    bool
	workers   int // 0: as configured
	high, low int // the same
}

// wishes are those for one copy, by pool. A copy that is started again gets them.
type wishes struct {
	mu  sync.Mutex
	all map[string]wish
}

// note changes the wish for a pool.
func (w *wishes) note(pool string, change func(*wish)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := w.all[pool]
	change(&v)
	if w.all == nil {
		w.all = map[string]wish{}
	}
	if w.all[pool] = v; v == (wish{}) {
		delete(w.all, pool)
	}
}

func (w *wishes) get() map[string]wish {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.all)
}

// reloaded forgets what a reload has set anew. A pool that is paused stays so.
func (w *wishes) reloaded(changes []control.Change) {
	for _, c := range changes {
		w.note(c.Pool, func(v *wish) {
			switch c.Action {
			case "remove":
				*v = wish{}
			case "restart", "scale", "roll":
				*v = wish{paused: v.paused}
			case "limit":
				v.high, v.low = 0, 0
			}
		})
	}
}

// wished asks a new process for what an operator has asked the one before it.
func (m *member) wished(ctx context.Context) error {
	all := m.wishes.get()
	for _, pool := range slices.Sorted(maps.Keys(all)) {
		w := all[pool]
		var errs []error
		if w.paused { // first: until then it takes tasks
			errs = append(errs, m.client.Pause(ctx, pool))
		}
		if w.workers > 0 {
			errs = append(errs, m.client.Scale(ctx, pool, w.workers))
		}
		if w.high > 0 {
			errs = append(errs, m.client.Limit(ctx, pool, w.high, w.low))
		}
		err := translate(errors.Join(errs...))
		switch {
		case errors.Is(err, supervisor.ErrNotFound): // the pool is no longer configured
			m.wishes.note(pool, func(w *wish) { *w = wish{} })
		case err != nil:
			return err
		default:
			m.g.log.Info("a pool is again as an operator has set it", "copy", m.number, "pool", pool, "paused", w.paused)
		}
	}
	return nil
}
