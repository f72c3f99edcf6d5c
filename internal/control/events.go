package control

import (
	"math"
	"strings"

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
	ring ring[Event]
}

// Add remembers an event; it is what supervisor.System.Observe may be given. It
// never waits for a reader for longer than a copy of the ring takes.
func (e *Events) Add(event supervisor.Event) {
	event.Err = nil // its text is there, and it may hold anything alive
	e.ring.put(func(seq uint64) Event { return Event{seq, event} }, 0, keep, math.MaxInt)
}

// After returns the events with higher numbers that are remembered, oldest first.
func (e *Events) After(seq uint64) []Event {
	if e == nil {
		return []Event{}
	}
	return append([]Event{}, e.ring.after(seq)...)
}

// more returns a channel that is closed once there is a later event; of a nil
// Events there is none.
func (e *Events) more(seq uint64) <-chan struct{} {
	if e == nil {
		return nil
	}
	return e.ring.more(seq)
}

// concerns reports whether a node is the one asked for or below it, as the ids
// tell: below mail are router:mail, pool:mail and mail/3, and below pool:mail is
// mail/3. Below root is everything. What is asked about without the number of a
// copy is asked about in all of them.
func concerns(id, node string) bool {
	if node == "" || node == "root" || id == node {
		return true
	}
	if node == "copies" {
		_, number := CutCopy(id)
		return number > 0 || strings.HasPrefix(id, copyNode)
	}
	node, wanted := within(node)
	id, number := CutCopy(id)
	if wanted > 0 && (number != wanted || node == "root") {
		return number == wanted
	}
	pool, isPool := strings.CutPrefix(node, "pool:")
	switch {
	case id == node, strings.HasPrefix(id, pool+"/"):
		return true
	case isPool:
		return false
	}
	return id == "router:"+node || id == "pool:"+node
}
