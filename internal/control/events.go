package control

import (
	"sync"

	"github.com/magne-actors/magne-actors/supervisor"
)

// Event is an event of the tree with its number. The numbers count from 1 and
// leave none out.
type Event struct {
	Seq uint64 `json:"seq"`
	supervisor.Event
}

// keep is how many events an Events remembers.
const keep = 1024

// Events remembers the last 1024 events. The zero value is empty and ready for
// use, also by several goroutines; so is a nil one, which stays empty.
type Events struct {
	mu   sync.Mutex
	last uint64      // the number of the newest
	ring [keep]Event // event n is at n % keep
}

// Add remembers an event; it is what supervisor.System.Observe may be given. It
// never waits for a reader for longer than a copy of the ring takes.
func (e *Events) Add(event supervisor.Event) {
	event.Err = nil // its text is there, and it may hold anything alive
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last++
	e.ring[e.last%keep] = Event{e.last, event}
}

// After returns the events with higher numbers that are remembered, oldest first.
func (e *Events) After(seq uint64) []Event {
	list := []Event{}
	if e == nil {
		return list
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if seq >= e.last { // as it may be of another instance, and very large
		return list
	}
	for n := max(seq, e.last-min(e.last, keep)) + 1; n <= e.last; n++ {
		list = append(list, e.ring[n%keep])
	}
	return list
}
