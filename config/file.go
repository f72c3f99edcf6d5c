package config

import (
	"net/url"
	"time"
)

// File is a configuration: defaults, magne.yaml and environment put together and
// checked. Its keys are described in docs/configuration.md.
type File struct {
	Version     int
	Broker      Broker
	Control     Control
	Shutdown    time.Duration
	Processes   int
	Supervision Supervision
	Pools       []Pool `mapstructure:"-"` // in the order of the file

	read *reader // where each value was set, and what is wrong with the file
}

// Broker is the RabbitMQ server, or with an empty URL the embedded broker.
type Broker struct {
	URL        Secret
	Management Secret // empty: nobody to ask
	Heartbeat  time.Duration
	TLS        TLS
	Embedded   Embedded
	Reconnect  Backoff
}

// Embedded is the broker inside the program. All defaults are filled in.
type Embedded struct {
	Listen          string // host:port
	Dir             string
	Fsync           time.Duration
	ConsumerTimeout time.Duration     `mapstructure:"consumer_timeout"` // 0: none
	Heartbeat       time.Duration     // 0: none
	BodyMemory      int               `mapstructure:"body_memory"` // bytes
	Users           map[string]Secret // name to hash; empty: guest
	TLS             Certificate
	Limits          EmbeddedLimits
}

// Certificate is a server's; paths of PEM files.
type Certificate struct {
	CertFile string `mapstructure:"cert_file"`
	KeyFile  string `mapstructure:"key_file"`
}

// EmbeddedLimits bound what clients can make the embedded broker hold.
type EmbeddedLimits struct {
	Connections, Channels, Consumers, Queues int
	Frame, Message, Transient, Buffer        int // bytes
}

// TLS is what amqps:// needs beyond the system's authorities; paths of PEM files.
type TLS struct {
	CAFile     string `mapstructure:"ca_file"`
	CertFile   string `mapstructure:"cert_file"`
	KeyFile    string `mapstructure:"key_file"`
	ServerName string `mapstructure:"server_name"`
}

// IsEmbedded reports whether the broker is the one inside the program.
func (b Broker) IsEmbedded() bool { return b.URL == "" }

// Address is the URL without user and password, for people.
func (b Broker) Address() string {
	if b.IsEmbedded() {
		return "embedded at " + b.Embedded.Listen
	}
	u, err := url.Parse(b.URL.Reveal())
	if err != nil {
		return redacted
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

// Control is where `magne-actors tree` and the like find a running instance.
type Control struct {
	Socket string // empty: internal/control's default
}

// Supervision is what happens when a part of the runtime fails.
type Supervision struct {
	Root     Supervisor
	Defaults struct{ Backoff Backoff }
}

// Supervisor is OTP's supervisor flags.
type Supervisor struct {
	Strategy  string
	Intensity int // 0: the first failure is one too many
	Period    time.Duration
}

// Backoff is how long to wait between attempts.
type Backoff struct {
	Initial    time.Duration
	Factor     float64
	Max        time.Duration
	Jitter     float64       // 0..1
	ResetAfter time.Duration `mapstructure:"reset_after"`
}

// Pool is one queue and the workers that serve it. All defaults are filled in.
type Pool struct {
	Name         string `mapstructure:"-"`
	Queue        string
	Codec        string
	Declare      string
	Mode         string
	Workers      int
	Slots        int
	Watermarks   Watermarks
	Timeout      time.Duration
	AbandonAfter time.Duration `mapstructure:"abandon_after"`
	MaxBody      int           `mapstructure:"max_body"` // bytes
	Retry        Retry
	Intensity    int
	Period       time.Duration
	Tasks        map[string]Task // by task name; empty: the program brings handlers
}

// Watermarks bound the deliveries that a pool holds.
type Watermarks struct{ High, Low int }

// Retry is what happens after a failed attempt.
type Retry struct {
	MaxAttempts int `mapstructure:"max_attempts"`
	Backoff     `mapstructure:",squash"`
}

// Task is a handler that needs no Go: either Builtin or HTTP is set.
type Task struct {
	Builtin string
	HTTP    *HTTP
}

// HTTP is an endpoint that runs tasks.
type HTTP struct {
	URL     Secret
	Method  string
	Headers map[string]Secret
}

// TaskNames are the names of the pool's tasks in alphabetical order.
func (p *Pool) TaskNames() []string { return sortedNames(p.Tasks) }
