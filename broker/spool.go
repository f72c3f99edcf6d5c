package broker

import (
	"context"
	"time"
)

// Spool keeps messages durably that a broker does not take for the time being, and
// publishes them when it does. All methods are safe for concurrent use.
type Spool interface {
	// Put makes p durable and calls done once: with an error, or with release,
	// which its owner calls once to say whether p shall be published. Until then
	// it is held back, and published by the next process should this one die. Put
	// does not block; done is called on a goroutine of the Spool and must not block.
	Put(p *Publication, done func(release func(keep bool), err error))

	// Behind reports whether messages wait that were not tried yet: what is
	// published beside them would overtake them.
	Behind() bool

	// Flush publishes through s what waits and what comes, until ctx ends or s is
	// dead.
	Flush(ctx context.Context, s Session)

	// Drain tries each message that waits once and returns how many are left. The
	// error says why it ended before that: the end of ctx, or of s.
	Drain(ctx context.Context, s Session) (left int, err error)

	// Stats does not block.
	Stats() SpoolStats
}

// SpoolStats are the figures of a Spool, of this process alone where nothing else
// is said. Counters count from its start.
type SpoolStats struct {
	Messages  int       // that are not done
	Held      int       // of them, whose owner has not released them yet
	Retrying  int       // of them, that the broker has refused or returned
	Oldest    time.Time // when the oldest of them was put; zero: there is none
	Bytes     int64     // on the disk, of all processes, as of the last change
	MaxBytes  int64     // the bound of Bytes
	Accepted  int64
	Refused   int64 // there was no room
	Published int64 // confirmed by the broker
	Withdrawn int64
	Damaged   int64  // bytes that could not be read
	LastError string // of the newest try, if that has failed
}
