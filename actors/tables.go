package actors

import (
	"sync/atomic"

	"github.com/magne-actors/magne-actors/supervisor/process"
)

// workerState is what the router and the worker tell of a worker. It lasts as
// long as the pool.
type workerState struct {
	assigned, running, abandoned atomic.Int64
	kept                         atomic.Bool             // for suspects
	alone                        atomic.Pointer[suspect] // that it runs

	// ups counts how often the worker came up. The supervisor's own count begins
	// anew when a worker was removed and is added again.
	ups atomic.Int64

	slot    *process.Slot    // mode process
	oneshot *process.Oneshot // mode oneshot
}

// workerTable holds the states of a pool's workers by their index. It only grows.
type workerTable struct {
	list atomic.Pointer[[]*workerState]
}

func (t *workerTable) all() []*workerState {
	if list := t.list.Load(); list != nil {
		return *list
	}
	return nil
}

// grow adds the states up to n-1, as fresh makes them.
func (t *workerTable) grow(n int, fresh func(i int) *workerState) {
	for {
		old := t.list.Load()
		var list []*workerState
		if old != nil {
			list = *old
		}
		if len(list) >= n {
			return
		}
		list = append(make([]*workerState, 0, n), list...)
		for i := len(list); i < n; i++ {
			list = append(list, fresh(i))
		}
		if t.list.CompareAndSwap(old, &list) {
			return
		}
	}
}

// flightTable holds flights by their index in the ledger. It grows by whole
// pieces that stay where they are, since workers write into them meanwhile.
type flightTable struct{ pieces atomic.Pointer[[]*piece] }

const pieceSize = 256

type piece [pieceSize]atomic.Pointer[flight]

// grow makes room for index i. Only the router calls it.
func (t *flightTable) grow(i int) {
	var list []*piece
	if old := t.pieces.Load(); old != nil {
		list = *old
	}
	if i < len(list)*pieceSize {
		return
	}
	list = append(make([]*piece, 0, len(list)+1), list...)
	for i >= len(list)*pieceSize {
		list = append(list, new(piece))
	}
	t.pieces.Store(&list)
}

// at is the place with index i, for which there must be room.
func (t *flightTable) at(i int) *atomic.Pointer[flight] {
	return &(*t.pieces.Load())[i/pieceSize][i%pieceSize]
}

// each calls visit for each flight that is there.
func (t *flightTable) each(visit func(*flight)) {
	list := t.pieces.Load()
	if list == nil {
		return
	}
	for _, p := range *list {
		for i := range p {
			if f := p[i].Load(); f != nil {
				visit(f)
			}
		}
	}
}
