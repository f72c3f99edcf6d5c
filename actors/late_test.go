package actors

import (
	"testing"

	"github.com/magne-actors/magne-actors/internal/credit"
)

// TestATaskOfARouterBeforeKeepsNoSlot: its end frees none that a task of ours keeps.
func TestATaskOfARouterBeforeKeepsNoSlot(t *testing.T) {
	p := &pool{}
	p.window.Store(&window{mark: credit.NewWatermark(2, 1)})
	r := &router{pool: p, workers: []seat{{state: new(workerState), lost: 2, held: 1}}}
	r.onLate(&flight{source: &source{window: &window{mark: credit.NewWatermark(2, 1)}}})
	if w := r.workers[0]; w.lost != 2 || w.held != 1 {
		t.Errorf("%d lost and %d slots kept, want 2 and 1", w.lost, w.held)
	}
}
