package engine

import (
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/routing"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// ExchangeSpec is an exchange to declare.
type ExchangeSpec = routing.Exchange

// QueueSpec is a queue to declare.
type QueueSpec struct {
	Name                           string // "": amq.gen- and 22 characters
	Durable, Exclusive, AutoDelete bool
	Args                           wire.Table
}

// QueueOK is the answer to DeclareQueue.
type QueueOK struct {
	Name      string
	Messages  int // ready
	Consumers int
}

// Publish is a message on its way in. The engine keeps Props and Body: the
// caller gives them away.
type Publish struct {
	Exchange, Key string
	Mandatory     bool
	Props         []byte // wire.ContentHeader.Raw
	Body          []byte
}

// Confirmer is told what became of published messages.
type Confirmer interface {
	// Confirmed says that message seq is safe in all queues it was routed to, or,
	// with ok false, that it is not. It is called from any goroutine, also before
	// Publish has returned, with locks of the engine held: it must neither wait nor
	// call the engine.
	Confirmed(seq uint64, ok bool)
}

// Out is where the deliveries of a channel go. The engine calls it from any
// goroutine with its locks held: it must neither wait nor call the engine.
type Out interface {
	// Deliver sends d, which is valid during the call only.
	Deliver(d *Delivery)
	// Cancelled says that the broker ended a consumer: its queue is gone.
	Cancelled(tag string)
	// Writable reports whether there is room for more deliveries. Once it has said
	// no, nothing more comes until Channel.Resume.
	Writable() bool
}

// Delivery is a message on its way out.
type Delivery struct {
	ConsumerTag   string // "" for Get
	Tag           uint64 // for Ack
	Redelivered   bool
	Exchange, Key string
	Props, Body   []byte
	Remaining     uint32 // for Get: messages still ready
}

// ConsumeSpec is a consumer to start.
type ConsumeSpec struct {
	Queue     string
	Tag       string // "": amq.ctag- and 22 characters
	NoAck     bool
	Exclusive bool
	NoLocal   bool // ignored, as RabbitMQ does
	Args      wire.Table
}

// QueueInfo is a snapshot of a queue.
type QueueInfo struct {
	Name                           string
	Type                           string // classic or quorum
	Durable, AutoDelete, Exclusive bool
	Args                           wire.Table

	Ready, Unacked int
	Consumers      int
	Persistent     int   // messages that are on disk, ready and unacked
	InMemory       int   // messages whose bodies are in memory
	BodyBytes      int64 // of all messages, ready and unacked
	IdleSince      time.Time
}

// Stats is a snapshot of an engine.
type Stats struct {
	Queues, Exchanges, Bindings int
	Channels, Consumers         int
	Ready, Unacked              int
	MemoryBytes                 int64  // bodies and properties in memory
	TransientBytes              int64  // those of them that are nowhere else
	Blocked                     string // as OnBlocked was told last

	Published, Delivered, Acked uint64 // since Open
	LogBytes                    int64  // store.Stats: zero without a Dir
	Segments                    int
	Syncs                       uint64
	Copied                      uint64 // messages, by compaction
}
