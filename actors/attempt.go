package actors

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/ladder"
	"github.com/magne-actors/magne-actors/task"
)

// The headers that travel with copies of a message.
const (
	headerAttempt   = "x-attempt"       // of the next run; absent means 1
	headerReason    = "x-reason"        // why it is a dead letter
	headerError     = "x-error"         // what the last attempt said, at most maxErrorHeader bytes
	headerFirstSeen = "x-first-seen"    // RFC 3339, when its first failed attempt was over
	headerNode      = "x-node"          // host name of the worker
	headerQueue     = "x-queue"         // the queue that it was consumed from
	headerCopies    = "x-magne-copies"  // how often a worker has published it again: two may be for the same attempt
	headerLost      = "x-magne-lost"    // how many worker processes have died under it
	headerSnoozes   = "x-magne-snoozes" // how often it was put off by task.Retry
	headerKind      = "x-error-kind"    // of x-error, as task.ErrorKind has it
	headerAutopsy   = "x-autopsy"       // how the last of them ended, at most maxAutopsyHeader bytes
	headerStripped  = "x-stripped"      // true: the publisher's headers were too large to be kept
)

const (
	maxErrorHeader   = 512
	maxAutopsyHeader = 2048
)

// attempt decodes and runs the task of a flight, on the calling goroutine, and
// says what became of it. Decoding is done here and not in the router, since a
// large body takes milliseconds in which the router would stand still.
func (p *pool) attempt(f *flight, handle task.HandlerFunc) verdict {
	d, n := f.delivery, attemptOf(f.delivery)
	if len(d.Body) > p.MaxBody {
		err := fmt.Errorf("the body has %d bytes, the pool takes %d (max_body)", len(d.Body), p.MaxBody)
		return undecodable(n, reasonOversize, err)
	}
	if why, ok := d.Headers[broker.HeaderDropped]; ok {
		return undecodable(n, reasonDecode, fmt.Errorf("the headers could not be read: %v", why))
	}
	m, err := p.Codec.Decode(&task.Raw{
		MessageID: d.MessageID, Type: d.Type, ContentType: d.ContentType, Headers: d.Headers, Body: d.Body,
	})
	if err != nil {
		return undecodable(n, reasonDecode, err)
	}
	m.Queue, m.Attempt, m.Redelivered, m.Lost = p.Queue.Name, n, d.Redelivered, f.lost
	ctx := &f.context
	ctx.base = f.source.window.ctx
	if p.Timeout > 0 {
		limited, cancel := context.WithTimeoutCause(ctx.base, p.Timeout, ErrTimeout)
		defer cancel()
		ctx.base = limited
		m.Deadline, _ = limited.Deadline()
	}
	p.show(f, m)
	err = handle(ctx, m)
	return p.judge(f, err, context.Cause(ctx))
}

// pastOf reads what a delivery has been through. Publishers do not set any of it.
func pastOf(d *broker.Delivery) past {
	return past{attempt: attemptOf(d), snoozes: count(d.Headers[headerSnoozes], 0), lost: count(d.Headers[headerLost], 0)}
}

// attemptOf reads the number of the attempt that a delivery is for. Publishers
// do not set it; whatever is no number from 1 up is 1.
func attemptOf(d *broker.Delivery) int {
	return count(d.Headers[headerAttempt], 1)
}

// count reads a header that counts something; whatever is no number from least up
// is least.
func count(header any, least int) int {
	var n int64
	switch v := header.(type) {
	case nil:
	case int32:
		n = int64(v)
	case int64:
		n = v
	case string:
		n, _ = strconv.ParseInt(v, 10, 32)
	}
	return int(max(int64(least), min(n, 1<<30)))
}

// nextAttempt is the copy of a message for its next attempt. It goes to the end
// of the queue, through the default exchange.
func nextAttempt(d *broker.Delivery, p *pool, v *verdict, now time.Time) *broker.Publication {
	c := copyOf(d)
	c.Headers[headerCopies] = int64(count(d.Headers[headerCopies], 0)) + 1
	offLadder(c, p.Queue.Name, c.Expiration)
	c.Headers[headerAttempt] = int64(v.attempt + 1)
	if v.free {
		c.Headers[headerAttempt] = int64(v.attempt)
	}
	noteError(c, v)
	noteFirstSeen(c, now)
	return c
}

// deadLetter is the copy of a message for the dead-letter queue. It keeps all
// properties but the expiry: a dead letter waits for people.
func deadLetter(d *broker.Delivery, p *pool, v *verdict, now time.Time) *broker.Publication {
	c := copyOf(d)
	dead := p.Queue.Dead
	c.Exchange, c.RoutingKey = dead.Exchange, dead.Name
	if dead.Exchange != "" && dead.Key != "" {
		c.RoutingKey = dead.Key
	}
	c.Persistent, c.Expiration = true, ""
	c.Headers[headerAttempt] = int64(v.attempt)
	c.Headers[headerReason] = v.reason
	c.Headers[headerQueue] = p.Queue.Name
	c.Headers[headerNode] = p.node
	noteError(c, v)
	noteFirstSeen(c, now)
	return c
}

// noteError says how the last run ended.
func noteError(c *broker.Publication, v *verdict) {
	c.Headers[headerError] = clip(v.err)
	if v.kind != "" {
		c.Headers[headerKind] = v.kind
	}
	if v.snoozes > 0 {
		c.Headers[headerSnoozes] = int64(v.snoozes)
	}
	if v.lost > 0 {
		c.Headers[headerLost] = int64(v.lost)
	}
	if v.autopsy != "" {
		c.Headers[headerAutopsy] = v.autopsy
	}
}

func noteFirstSeen(c *broker.Publication, now time.Time) {
	if _, ok := c.Headers[headerFirstSeen]; !ok {
		c.Headers[headerFirstSeen] = now.UTC().Format(time.RFC3339)
	}
}

// strip removes all headers but ours: RabbitMQ takes larger header tables than
// leave room for ours in one frame.
func strip(c *broker.Publication) {
	maps.DeleteFunc(c.Headers, func(k string, _ any) bool {
		switch k {
		case headerAttempt, headerReason, headerError, headerFirstSeen, headerNode, headerQueue, headerLost, headerAutopsy,
			headerSnoozes, headerKind, ladder.HeaderETA, ladder.HeaderQueue, headerCopies, headerReplays, headerReplayedAt:
			return false
		}
		return true
	})
	c.Headers[headerStripped] = true
}

// copyOf copies a message without what the broker has added to it: a
// re-published x-death makes RabbitMQ before 4.0.1 drop a message as a
// dead-letter cycle, CC would send it to other queues as well, and a user-id
// that is not our own is refused.
func copyOf(d *broker.Delivery) *broker.Publication {
	c := &broker.Publication{Properties: d.Properties, Body: d.Body}
	c.User = ""
	c.Headers = maps.Clone(d.Headers)
	if c.Headers == nil {
		c.Headers = map[string]any{}
	}
	maps.DeleteFunc(c.Headers, func(k string, _ any) bool {
		switch strings.ToLower(k) {
		case "cc", "bcc", broker.HeaderDropped:
			return true
		}
		return ofBroker(k)
	})
	return c
}

// clip is the error's text, valid UTF-8 and short enough for a header.
func clip(err error) string {
	if err == nil {
		return ""
	}
	s := err.Error()
	if len(s) > maxErrorHeader {
		s = s[:maxErrorHeader]
	}
	return strings.ToValidUTF8(s, "")
}
