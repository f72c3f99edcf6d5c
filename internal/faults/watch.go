package faults

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/magne-actors/magne-actors/internal/treeview"
)

// watch looks at an instance from outside, again and again: what /readyz answers,
// and what `magne-actors why` says of the pool.
type watch struct {
	in     *instance
	ctx    context.Context // of its looks
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu    sync.Mutex
	ready []answer // changes only, oldest first
	said  []answer
}

// answer is what was heard, since then.
type answer struct {
	at   time.Time
	ok   bool // of /readyz
	text string
}

// lookEvery is the time between two looks.
const lookEvery = 50 * time.Millisecond

// newWatch begins to look, until stop.
func newWatch(ctx context.Context, in *instance) *watch {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w := &watch{in: in, ctx: ctx, cancel: cancel}
	w.wg.Go(func() {
		for ctx.Err() == nil {
			ok, text := in.ready(ctx)
			w.note(&w.ready, answer{time.Now(), ok, text}, func(a, b answer) bool { return a.ok == b.ok })
			pause(ctx, lookEvery)
		}
	})
	w.wg.Go(func() {
		for ctx.Err() == nil {
			if root, err := in.client.Tree(ctx); err == nil {
				text := strings.Join(treeview.Why(root, "router:p", time.Now()), " ")
				w.note(&w.said, answer{time.Now(), true, text}, func(a, b answer) bool { return a.text == b.text })
			}
			pause(ctx, lookEvery)
		}
	})
	return w
}

func (w *watch) note(list *[]answer, a answer, same func(a, b answer) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(*list); n > 0 && same((*list)[n-1], a) {
		return
	}
	*list = append(*list, a)
}

func (w *watch) stop() {
	w.cancel()
	w.wg.Wait()
}

// isReady is the newest answer of /readyz.
func (w *watch) isReady() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.ready) > 0 && w.ready[len(w.ready)-1].ok
}

// readyzFailed returns when /readyz first failed between two times.
func (w *watch) readyzFailed(from, to time.Time) (time.Time, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.ready {
		if !a.ok && !a.at.Before(from) && a.at.Before(to) {
			return a.at, true
		}
	}
	return time.Time{}, false
}

// readyAt is whether /readyz was well at that time.
func (w *watch) readyAt(at time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	ok := false
	for _, a := range w.ready {
		if a.at.After(at) {
			break
		}
		ok = a.ok
	}
	return ok
}

// heard returns what was said between two times, newest first.
func (w *watch) heard(from, to time.Time) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []string
	for _, a := range slices.Backward(w.said) {
		if !a.at.Before(from) && a.at.Before(to) {
			list = append(list, a.text)
		}
	}
	return list
}
