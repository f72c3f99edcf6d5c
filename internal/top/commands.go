package top

import (
	"context"
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/magne-actors/magne-actors/internal/treeview"
	"github.com/magne-actors/magne-actors/supervisor"
)

// tick says that it is time for the next fetch.
type tick struct{}

// fetched is the answer to a fetch.
type fetched struct {
	began    time.Time
	snapshot Snapshot
	sample   *Sample
	err      error
}

// described is what the pane of details shows of a node.
type described struct {
	id    string
	lines []string
}

// changed says how a change has ended.
type changed struct {
	what string
	err  error
}

// next is what the instance is asked next, if anything: one thing at a time.
func (m *Model) next() tea.Cmd {
	switch {
	case m.asking:
		return nil
	case m.due:
		m.due, m.asking = false, true
		return m.fetch()
	case m.details.open && m.details.stale && m.selected() != nil:
		m.details.stale, m.asking = false, true
		return m.explain()
	}
	return nil
}

func (m *Model) fetch() tea.Cmd {
	ctx, o, prev := m.ctx, m.o, m.snapshot
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(ctx, o.Timeout)
		defer cancel()
		f := fetched{began: o.Now()}
		if f.snapshot, f.err = o.Fetch(ctx); f.err == nil {
			f.sample = Measure(prev, f.snapshot)
		}
		return f
	}
}

// explain makes the details of the selected node: why it is as it is, then all
// that is known of it. That may be long work in a large tree.
func (m *Model) explain() tea.Cmd {
	ctx, o, root, node, now, width := m.ctx, m.o, m.snapshot.Root, m.selected().Node, m.now, m.width
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(ctx, o.Timeout)
		defer cancel()
		text := ansi.WrapWc(detailsOf(ctx, o, root, node, now), width, " ")
		return described{id: node.ID, lines: strings.Split(strings.TrimRight(text, "\n"), "\n")}
	}
}

func detailsOf(ctx context.Context, o Options, root, node *supervisor.Node, now time.Time) string {
	parts := treeview.Why(root, node.ID, now)
	if o.Inspect != nil {
		full, err := o.Inspect(ctx, node.ID)
		if err == nil {
			node = full
		} else {
			parts = append(parts, clean(err.Error()))
		}
	}
	parts = append(parts, "", treeview.Inspect(node, now, treeview.Options{Color: o.Color}))
	return narrow(strings.Join(parts, "\n"))
}

// describe takes details. They are shown while the cursor is on their node.
func (m *Model) describe(d described) {
	if m.details.id != d.id {
		m.details.offset = 0
	}
	m.details.id, m.details.lines = d.id, d.lines
}

// change changes the instance beside the UI, one change at a time.
func (m *Model) change(what string, do func(ctx context.Context) error) tea.Cmd {
	if m.acting {
		m.note = "not done: the change before this one goes on"
		return nil
	}
	m.acting, m.note = true, what+" ..."
	ctx := m.ctx
	return func() tea.Msg { return changed{what, do(ctx)} }
}

func (m *Model) changed(c changed) {
	m.acting, m.due = false, true
	m.note = c.what + ": done"
	if c.err != nil {
		m.note = fmt.Sprintf("%s: not done: %v", c.what, c.err)
	}
}
