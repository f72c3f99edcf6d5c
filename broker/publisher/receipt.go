package publisher

import "fmt"

// Outcome says who has an accepted publication. The zero value says that it was not
// accepted.
type Outcome uint8

// The outcomes.
const (
	Confirmed Outcome = iota + 1 // it is in a queue of the broker
	Spooled                      // it is on the disk, fsynced, and will be published
)

// String returns a word.
func (o Outcome) String() string {
	switch o {
	case Confirmed:
		return "confirmed"
	case Spooled:
		return "spooled"
	default:
		return "not accepted"
	}
}

// Receipt is for the answer to one publication.
type Receipt struct {
	id      string
	done    chan struct{}
	outcome Outcome
	err     error
}

// MessageID is the message-id that is published: the publication's own, or one that was
// made for it.
func (r *Receipt) MessageID() string { return r.id }

// Done is closed when there is an answer: it comes when the publication's context or
// the Publisher ends at the latest.
func (r *Receipt) Done() <-chan struct{} { return r.done }

// Result waits for the answer. The error is that of [Publisher.Publish].
func (r *Receipt) Result() (Outcome, error) {
	<-r.done
	return r.outcome, r.err
}

// Error is why a publication was not accepted, or whether it was is unknown.
type Error struct {
	// MessageID is that of the message. To publish it again with the same one is safe
	// where consumers drop duplicates.
	MessageID string
	// Tries is how often it was handed to the broker.
	Tries int
	// Err is the reason, see [Publisher.Publish].
	Err error
}

// Error returns the reason and the message-id.
func (e *Error) Error() string {
	if e.Tries > 1 {
		return fmt.Sprintf("publish message %s, try %d: %v", e.MessageID, e.Tries, e.Err)
	}
	return fmt.Sprintf("publish message %s: %v", e.MessageID, e.Err)
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }
