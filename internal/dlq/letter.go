package dlq

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/ladder"
)

// The headers that are read and written here. Those of a worker are described in
// docs/architecture.md, those of a replay in docs/dead-letters.md.
const (
	headerAttempt   = "x-attempt"
	headerReason    = "x-reason"
	headerError     = "x-error"
	headerFirstSeen = "x-first-seen"
	headerNode      = "x-node"
	headerQueue     = "x-queue"
	headerLost      = "x-magne-lost"
	headerSnoozes   = "x-magne-snoozes"
	headerKind      = "x-error-kind"
	headerAutopsy   = "x-autopsy"

	headerReplays     = "x-replays"      // how often it was replayed
	headerReplayedAt  = "x-replayed-at"  // RFC 3339, the last time
	headerFirstReason = "x-first-reason" // why it was a dead letter the first time

	headerDeath = "x-death" // RabbitMQ's own
)

const (
	maxErrorText = 4 << 10 // of what a header says; a worker writes 512 bytes
	maxTaskBody  = 1 << 20 // a larger body is not searched for the name of its task
)

// Letter is what a dead letter says of itself. What it does not say is zero.
type Letter struct {
	ID      string `json:"id"`    // the message id, or one made from the content
	Group   string `json:"group"` // see Groups
	Task    string `json:"task,omitempty"`
	Reason  string `json:"reason,omitempty"` // a worker's, else RabbitMQ's
	Error   string `json:"error,omitempty"`
	Kind    string `json:"error_kind,omitempty"` // see task.ErrorKind
	Autopsy string `json:"autopsy,omitempty"`    // how the last worker process under it ended

	Attempts int    `json:"attempts,omitempty"`
	Lost     int    `json:"workers_lost,omitempty"`
	Queue    string `json:"queue,omitempty"` // that it was consumed from
	Node     string `json:"worker,omitempty"`

	FirstSeen *time.Time `json:"first_seen,omitempty"` // when it failed first

	Replays     int        `json:"replays,omitempty"`
	ReplayedAt  *time.Time `json:"replayed_at,omitempty"`
	FirstReason string     `json:"first_reason,omitempty"`

	Deaths []Death `json:"x_death,omitempty"` // RabbitMQ's account, the newest first

	// Unreadable: the headers are such that the client could not take them. A copy
	// would lack them.
	Unreadable bool `json:"headers_unreadable,omitempty"`
}

// Death is one entry of RabbitMQ's x-death.
type Death struct {
	Queue  string     `json:"queue"`
	Reason string     `json:"reason"`
	Count  int64      `json:"count"`
	Time   *time.Time `json:"time,omitempty"`
}

// Read reads the headers of a dead letter, and the name of its task from its
// properties or its body.
func Read(d *broker.Delivery) Letter {
	h := d.Headers
	l := Letter{
		ID: IDOf(d), Task: taskOf(d), Reason: text(h, headerReason), Error: text(h, headerError), Kind: text(h, headerKind), Autopsy: text(h, headerAutopsy),
		Attempts: number(h, headerAttempt), Lost: number(h, headerLost), Queue: text(h, headerQueue), Node: text(h, headerNode),
		FirstSeen: moment(h[headerFirstSeen]),
		Replays:   number(h, headerReplays), ReplayedAt: moment(h[headerReplayedAt]), FirstReason: text(h, headerFirstReason),
		Deaths: deaths(h[headerDeath]),
	}
	_, l.Unreadable = h[broker.HeaderDropped]
	if len(l.Deaths) > 0 && l.Reason == "" {
		newest := l.Deaths[0]
		l.Reason, l.Queue = newest.Reason, newest.Queue
		if l.FirstSeen == nil {
			l.FirstSeen = l.Deaths[len(l.Deaths)-1].Time
		}
	}
	if _, queue, ok := ladder.Parse(d.RoutingKey); ok && l.Reason == reasonExpired && strings.HasPrefix(l.Queue, ladder.QueuePrefix) {
		// It has left the ladder of delays, and there was no queue for it.
		l.Reason, l.Queue = reasonUndelivered, queue
	}
	l.Group = fingerprint(&l)
	return l
}

const (
	reasonExpired     = "expired"     // RabbitMQ's, of a message whose time in a queue is over
	reasonUndelivered = "undelivered" // ours, of one that was delayed for a queue that is gone
)

// IDOf is the message id, or, of a message without one, a short hash of where it was
// published to and its body: "sha:" and twelve digits. Two messages may have the same.
func IDOf(d *broker.Delivery) string {
	if d.MessageID != "" {
		return d.MessageID
	}
	h := sha256.New()
	for _, part := range [][]byte{[]byte(d.RoutingKey), {0}, d.Body} {
		_, _ = h.Write(part) // a hash takes everything
	}
	return "sha:" + hex.EncodeToString(h.Sum(nil)[:6])
}

// taskOf finds the name of the task without a codec: the property type, which
// publishers of ours set, or what the two body formats have.
func taskOf(d *broker.Delivery) string {
	var body struct{ Task, Func string }
	if len(d.Body) <= maxTaskBody && json.Unmarshal(d.Body, &body) == nil {
		switch {
		case body.Task != "":
			return clip(body.Task)
		case body.Func != "":
			return clip(body.Func)
		}
	}
	return clip(d.Type)
}

func text(h map[string]any, name string) string {
	switch v := h[name].(type) {
	case string:
		return clip(v)
	case []byte: // some clients write no other
		return clip(string(v))
	}
	return ""
}

// clip bounds text that anybody may have written.
func clip(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxErrorText)], "")
}

func number(h map[string]any, name string) int {
	return int(max(0, min(integer(h[name]), 1<<30)))
}

func integer(v any) int64 {
	switch v := v.(type) {
	case int8:
		return int64(v)
	case uint8:
		return int64(v)
	case int16:
		return int64(v)
	case uint16:
		return int64(v)
	case int32:
		return int64(v)
	case uint32:
		return int64(v)
	case int64:
		return v
	case string:
		n, _ := strconv.ParseInt(v, 10, 64)
		return n
	}
	return 0
}

func moment(v any) *time.Time {
	switch v := v.(type) {
	case time.Time:
		return new(v.UTC())
	case string:
		if t, err := time.Parse(time.RFC3339, v); err == nil {
			return new(t.UTC())
		}
	}
	return nil
}

// deaths reads x-death, a list of tables.
func deaths(v any) []Death {
	list, _ := v.([]any)
	var all []Death
	for _, entry := range list {
		t, ok := entry.(map[string]any)
		if !ok {
			continue
		}
		all = append(all, Death{Queue: text(t, "queue"), Reason: text(t, "reason"), Count: integer(t["count"]), Time: moment(t["time"])})
	}
	return all
}
