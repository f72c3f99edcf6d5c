package faults

import "sync"

// Tally is the accounting of numbered messages.
type Tally struct {
	Published int `json:"published"` // handed to the broker
	Confirmed int `json:"confirmed"` // it has said that it has them
	// Unknown and Refused were published and not confirmed: no answer came, or the
	// broker said no. They are not published again, and may be executed or not.
	Unknown  int `json:"unknown"`
	Refused  int `json:"refused"`
	Executed int `json:"executed"` // different ones that were done to the end
	// Removed were in a queue that the fault deleted or purged.
	Removed int `json:"removed"`
	// Dead are in the dead-letter queue, and were never done.
	Dead int `json:"dead"`
	// Left are in the queue when the instance has stopped: it did not come to them.
	Left int `json:"left"`
	// Lost were confirmed, and are none of these.
	Lost int `json:"lost"`
	// Missing are the numbers of the lost.
	Missing []int `json:"missing,omitempty"`
	// Duplicates are executions beyond the first of the same attempt.
	Duplicates int `json:"duplicates"`
}

// accounts keeps the books about numbered messages.
type accounts struct {
	mu       sync.Mutex
	messages []message // by number
}

// message is what is known of one.
type message struct {
	outcome outcome
	runs    [attempts]uint8 // executions of each attempt; the last counts what comes after it
	done    bool
	removed bool
	dead    bool
	left    bool
}

// attempts is how many of a message the endpoint asks for: the first, and one more
// of those that fail at first.
const attempts = 2

// outcome of a publication.
type outcome uint8

const (
	underway outcome = iota
	confirmed
	refused
	unknown
)

// publish returns the number of a new message.
func (a *accounts) publish() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.messages = append(a.messages, message{})
	return len(a.messages) - 1
}

// of runs f on a message. A number that was never given is none of ours.
func (a *accounts) of(n int, f func(*message)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n >= 0 && n < len(a.messages) {
		f(&a.messages[n])
	}
}

func (a *accounts) answered(n int, o outcome) { a.of(n, func(m *message) { m.outcome = o }) }
func (a *accounts) begun(n, attempt int) {
	a.of(n, func(m *message) { m.runs[min(max(attempt, 1), attempts)-1]++ })
}
func (a *accounts) done(n int) { a.of(n, func(m *message) { m.done = true }) }
func (a *accounts) dead(n int) { a.of(n, func(m *message) { m.dead = true }) }
func (a *accounts) left(n int) { a.of(n, func(m *message) { m.left = true }) }

// remove excuses what may have been in a queue that is gone: all that was published
// and is not done.
func (a *accounts) remove() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.messages {
		if m := &a.messages[i]; !m.done {
			m.removed = true
		}
	}
}

// count is how many were published.
func (a *accounts) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.messages)
}

// tally sums up.
func (a *accounts) tally() Tally {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := Tally{Published: len(a.messages)}
	for n, m := range a.messages {
		switch m.outcome {
		case confirmed:
			t.Confirmed++
		case refused:
			t.Refused++
		default:
			t.Unknown++
		}
		for _, runs := range m.runs {
			t.Duplicates += max(0, int(runs)-1)
		}
		switch {
		case m.done:
			t.Executed++
		case m.dead:
			t.Dead++
		case m.left:
			t.Left++
		case m.removed && m.outcome == confirmed:
			t.Removed++
		case m.outcome == confirmed:
			t.Lost++
			t.Missing = append(t.Missing, n)
		}
	}
	return t
}

// plus is the sum of two books.
func (t Tally) plus(u Tally) Tally {
	t.Published += u.Published
	t.Confirmed += u.Confirmed
	t.Unknown += u.Unknown
	t.Refused += u.Refused
	t.Executed += u.Executed
	t.Removed += u.Removed
	t.Dead += u.Dead
	t.Left += u.Left
	t.Lost += u.Lost
	t.Duplicates += u.Duplicates
	return t
}
