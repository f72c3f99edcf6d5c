package copies

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/internal/osproc"
	"github.com/magne-actors/magne-actors/supervisor"
)

// The calls by which an operator changes what runs. They block until it is done or
// ctx ends. The error wraps supervisor.ErrNotFound when no copy has such a pool,
// task or node.

// Scale gives a pool so many workers in each copy.
func (g *Group) Scale(ctx context.Context, pool string, workers int) error {
	return g.on(pool, func(m *member, pool string) error { return m.client.Scale(ctx, pool, workers) },
		func(w *wish) { w.workers = workers })
}

// Pause has a pool take no more tasks until Resume.
func (g *Group) Pause(ctx context.Context, pool string) error {
	return g.on(pool, func(m *member, pool string) error { return m.client.Pause(ctx, pool) },
		func(w *wish) { w.paused = true })
}

// Resume ends a Pause.
func (g *Group) Resume(ctx context.Context, pool string) error {
	return g.on(pool, func(m *member, pool string) error { return m.client.Resume(ctx, pool) },
		func(w *wish) { w.paused = false })
}

// Limit sets the watermarks of a pool in each copy.
func (g *Group) Limit(ctx context.Context, pool string, high, low int) error {
	return g.on(pool, func(m *member, pool string) error { return m.client.Limit(ctx, pool, high, low) },
		func(w *wish) { w.high, w.low = high, low })
}

// Cancel cancels the running tasks with that id, and returns how many.
func (g *Group) Cancel(ctx context.Context, id string) (int, error) {
	base, number := control.CutCopy(id)
	if m := g.member(number); m != nil {
		n, err := m.client.Cancel(ctx, base)
		if err == nil && n > 0 || !errors.Is(err, control.ErrNotFound) && err != nil {
			return n, err
		}
	}
	// Without a number, or with one that belongs to the id of a message.
	sum, answers := 0, each(g.members, func(m *member) (int, error) { return m.client.Cancel(ctx, id) })
	for _, a := range answers {
		sum += a.value
	}
	if sum > 0 {
		return sum, nil
	}
	return 0, unite(answers)
}

// Restart has a node run anew. That of a copy is stopped warm and started again.
func (g *Group) Restart(ctx context.Context, id string) error {
	base, number := control.CutCopy(id)
	m := g.member(number)
	if m == nil {
		return g.system.Restart(ctx, id)
	}
	if base == "root" {
		return fmt.Errorf("the root of a copy is its process: restart %s", m.id)
	}
	return translate(m.client.Restart(ctx, base))
}

// Signal sends a signal to the process of a slot or of a copy.
func (g *Group) Signal(id string, sig syscall.Signal) error {
	return g.process(id, func(p *osproc.Proc) error { return p.Signal(sig) },
		func(m *member, id string) error {
			return m.client.Signal(context.Background(), id, fmt.Sprint(int(sig)))
		})
}

// Kill kills the process of a slot or of a copy, with all that it has started.
func (g *Group) Kill(id string) error {
	return g.process(id, func(p *osproc.Proc) error { p.Kill(); return nil },
		func(m *member, id string) error { return m.client.Kill(context.Background(), id) })
}

// Recycle puts another process in the place of that of a slot or of a copy, once its
// tasks have ended.
func (g *Group) Recycle(ctx context.Context, id string) error {
	return g.process(id, func(*osproc.Proc) error { return g.system.Restart(ctx, id) },
		func(m *member, id string) error { return m.client.Recycle(ctx, id) })
}

// process does one thing to a copy, or another to a slot in one.
func (g *Group) process(id string, toCopy func(*osproc.Proc) error, toSlot func(m *member, id string) error) error {
	base, number := control.CutCopy(id)
	if m := g.member(number); m != nil {
		return translate(toSlot(m, base))
	}
	i := slices.IndexFunc(g.members, func(m *member) bool { return m.id == id })
	if i < 0 {
		return fmt.Errorf("%s: %w", id, supervisor.ErrNotFound)
	}
	p := g.members[i].proc.Load()
	if p == nil {
		return fmt.Errorf("%s does not run now", id)
	}
	return toCopy(p)
}

// on has the copies do something about a pool: that which its name ends with, or all.
// Those that have done it do it again when they are started again.
func (g *Group) on(pool string, do func(m *member, pool string) error, change func(*wish)) error {
	base, number := control.CutCopy(pool)
	members := g.members
	if number > 0 {
		m := g.member(number)
		if m == nil {
			return fmt.Errorf("%s: %w", pool, supervisor.ErrNotFound)
		}
		members = []*member{m}
	}
	return unite(each(members, func(m *member) (struct{}, error) {
		err := do(m, base)
		if err == nil {
			m.wishes.note(base, change)
		}
		return struct{}{}, err
	}))
}

// unite is one error of those that the copies have answered. What all of them say
// is said once.
func unite[T any](answers []answer[T]) error {
	var errs []error
	var first error
	same := true
	for i, a := range answers {
		err := translate(a.err)
		if i == 0 {
			first = err
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", nodeID(a.number), err))
		}
		same = same && err != nil && first != nil && err.Error() == first.Error()
	}
	if same {
		return first
	}
	return joined(errs)
}

// translate puts an error of a client into the words of a Source.
func translate(err error) error {
	switch {
	case errors.Is(err, control.ErrNotFound):
		return supervisor.ErrNotFound
	case errors.Is(err, control.ErrUnreachable):
		return errors.New("it does not answer")
	}
	return err
}

// joined is all errors in one line. What none of them wraps alone it does not wrap.
func joined(errs []error) error {
	if len(errs) < 2 {
		return errors.Join(errs...)
	}
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = err.Error()
	}
	return errors.New(strings.Join(texts, "; "))
}
