package copies

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/magne-actors/magne-actors/internal/control"
)

// Reload has all copies read their configuration again, which must be valid, and
// returns what they have changed, also together with an error. One reload is done
// at a time.
func (g *Group) Reload(ctx context.Context) ([]control.Change, error) {
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("another reload is not done: %w", context.Cause(ctx))
	}
	return gather(each(g.members, func(m *member) ([]control.Change, error) {
		list, err := m.client.Reload(ctx)
		m.wishes.reloaded(list)
		return list, err
	}))
}

// Diff returns what a reload of that text would change in the copies.
func (g *Group) Diff(ctx context.Context, yaml []byte) ([]control.Change, error) {
	return gather(each(g.members, func(m *member) ([]control.Change, error) { return m.client.Diff(ctx, yaml) }))
}

func gather(answers []answer[[]control.Change]) ([]control.Change, error) {
	lists := make([][]control.Change, len(answers))
	for i, a := range answers {
		if invalid, ok := errors.AsType[*control.InvalidError](a.err); ok {
			return nil, invalid
		}
		lists[i] = a.value
	}
	return Changes(lists), unite(answers)
}

// Changes are the differences that copies tell of, each once. What only a restart
// of the program does is left out: whoever has started the copies knows that, too.
func Changes(lists [][]control.Change) []control.Change {
	var all []control.Change
	for _, list := range lists {
		for _, c := range list {
			known := slices.ContainsFunc(all, func(o control.Change) bool {
				return o.Pool == c.Pool && o.Action == c.Action && o.Text == c.Text
			})
			if !known && c.Pool != "" {
				all = append(all, c)
			}
		}
	}
	return all
}
