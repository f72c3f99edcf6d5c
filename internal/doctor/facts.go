package doctor

import (
	"io/fs"
	"time"

	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/config"
	"github.com/magne-actors/magne-actors/internal/management"
	"github.com/magne-actors/magne-actors/internal/topology"
)

// Facts are all that Judge looks at.
type Facts struct {
	Embedded bool
	Pools    []Pool
	Lint     []*config.FieldError // warnings about the configuration by itself

	Addresses []Address
	Broker    *Broker           // nil: none was reached
	Objects   []topology.Change // what the pools want, compared
	Rights    []Right           // what this user may do
	API       *API              // nil: there is none to ask
	Settings  *Settings         // of the broker; nil: nobody has told
	User      string            // of the URL
	Remote    bool              // the broker is on another machine
	Files     Files
	Control   Control
}

// Pool is what matters of a pool.
type Pool struct {
	Name, Queue, Codec, Declare string
	High                        int
	// Unsettled is how long a delivery may stay unsettled in the process, by the
	// timeout of a task or a wait for a retry; 0 is without bound.
	Unsettled time.Duration
	// Durable: retries must wait on the broker. Delays: they would like to.
	Durable, Delays bool
}

// Address is a broker that was tried.
type Address struct {
	Address string // without user and password
	Path    string // the key that it comes from
	Err     string // "": it was reached
	Denied  bool   // it was reached, and has refused the user
}

// Broker is what one says of itself.
type Broker struct{ Product, Version string }

// Right is a permission that somebody needs, and the broker's answer.
type Right struct {
	amqp.Right
	Grant amqp.Grant
	Words string
	Path  string // the key of what needs it
	For   string // what it is needed for
}

// API is what the management API has told. A nil list was not told, and Errs says
// why.
type API struct {
	Errs             []string
	Overview         *management.Overview
	Nodes            []management.Node
	Queues           []management.Queue
	Policies         []management.Policy
	OperatorPolicies []management.Policy
	PoliciesKnown    bool
	// Skew is how far the broker's clock is ahead of ours, give or take Blur; it is
	// known when Overview.Clock is.
	Skew, Blur time.Duration
}

// Settings are those of the broker's own configuration, which neither AMQP nor the
// API tells. A nil one is not known.
type Settings struct {
	ConsumerTimeout *time.Duration // 0: none
	ConfirmTimeout  *time.Duration // dead_letter_worker_publisher_confirm_timeout
}

// Files are the descriptors that a process may have.
type Files struct {
	Limit int // 0: not known
	Need  int
}

// Control is the socket that an instance would have.
type Control struct {
	Socket  string
	Err     string      // why an instance could not have it
	Answers bool        // an instance has it
	Version string      // of that instance
	Mode    fs.FileMode // 0: there is none
}
