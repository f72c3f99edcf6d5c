package embedded

import (
	"slices"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/engine"
)

// Status is a snapshot of a broker, for people and for JSON.
type Status struct {
	Version string        `json:"version"`
	Dir     string        `json:"dir"` // "": in memory
	Uptime  time.Duration `json:"uptime_ns"`
	Blocked string        `json:"blocked"` // why publishers wait, "": they do not

	Connections []ConnectionStatus `json:"connections"` // in the order of their beginning
	Accepted    uint64             `json:"accepted"`    // connections since Open
	Channels    int                `json:"channels"`
	Consumers   int                `json:"consumers"`

	Exchanges int           `json:"exchanges"`
	Bindings  int           `json:"bindings"`
	Ready     int           `json:"ready"`   // messages in all queues
	Unacked   int           `json:"unacked"` // delivered and not settled
	Queues    []QueueStatus `json:"queues"`  // by name

	Published uint64 `json:"published"` // since Open, as the next two
	Delivered uint64 `json:"delivered"`
	Acked     uint64 `json:"acked"`

	MemoryBytes    int64  `json:"memory_bytes"`    // of messages in memory
	TransientBytes int64  `json:"transient_bytes"` // of those that are nowhere else
	LogBytes       int64  `json:"log_bytes"`
	Segments       int    `json:"segments"`
	Syncs          uint64 `json:"syncs"` // fsyncs since Open
}

// ConnectionStatus is a connection.
type ConnectionStatus struct {
	ID       uint64    `json:"id"`
	Remote   string    `json:"remote"`
	User     string    `json:"user"`
	Name     string    `json:"name"`  // connection_name of the client, or its product
	State    string    `json:"state"` // opening, running, blocked, closing
	Since    time.Time `json:"since"`
	Channels int       `json:"channels"`
	Buffered int       `json:"buffered_bytes"` // waiting to be written
}

// QueueStatus is a queue.
type QueueStatus struct {
	Name       string         `json:"name"`
	Type       string         `json:"type"` // classic or quorum
	Durable    bool           `json:"durable"`
	AutoDelete bool           `json:"auto_delete"`
	Exclusive  bool           `json:"exclusive"`
	Args       map[string]any `json:"arguments,omitempty"`
	Ready      int            `json:"ready"`
	Unacked    int            `json:"unacked"`
	Consumers  int            `json:"consumers"`
	Persistent int            `json:"persistent"` // messages on disk
	BodyBytes  int64          `json:"body_bytes"`
}

// Status returns a snapshot. It does not wait for the disk or a client.
func (b *Broker) Status() Status {
	e := b.engine.Stats()
	s := Status{
		Version: version(), Dir: b.o.Dir, Uptime: time.Since(b.opened),
		Connections: b.connectionStatus(), Consumers: e.Consumers,
		Exchanges: e.Exchanges, Bindings: e.Bindings, Ready: e.Ready, Unacked: e.Unacked,
		Published: e.Published, Delivered: e.Delivered, Acked: e.Acked,
		MemoryBytes: e.MemoryBytes, TransientBytes: e.TransientBytes,
		LogBytes: e.LogBytes, Segments: e.Segments, Syncs: e.Syncs,
	}
	for _, c := range s.Connections {
		s.Channels += c.Channels
	}
	for _, q := range b.engine.Queues() {
		s.Queues = append(s.Queues, queueStatus(q))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s.Accepted, s.Blocked = b.accepted, b.alarms.reason()
	return s
}

func queueStatus(q engine.QueueInfo) QueueStatus {
	return QueueStatus{
		Name: q.Name, Type: q.Type, Durable: q.Durable, AutoDelete: q.AutoDelete, Exclusive: q.Exclusive,
		Args: q.Args, Ready: q.Ready, Unacked: q.Unacked, Consumers: q.Consumers,
		Persistent: q.Persistent, BodyBytes: q.BodyBytes,
	}
}

func (b *Broker) connectionStatus() []ConnectionStatus {
	all := []ConnectionStatus{}
	for _, c := range b.connections() {
		all = append(all, c.status())
	}
	slices.SortFunc(all, func(x, y ConnectionStatus) int {
		if x.ID != y.ID {
			return int(min(max(int64(x.ID)-int64(y.ID), -1), 1))
		}
		return strings.Compare(x.Remote, y.Remote)
	})
	return all
}
