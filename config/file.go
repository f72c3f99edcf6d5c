package config

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// File is a configuration: defaults, magne.yaml and environment put together and
// checked. Its keys are described in docs/configuration.md.
type File struct {
	Version     int
	Broker      Broker
	Control     Control
	Metrics     Metrics
	Shutdown    time.Duration
	Processes   int
	Supervision Supervision
	Pools       []Pool `mapstructure:"-"` // in the order of the file

	read *reader // where each value was set, and what is wrong with the file
}

// Broker is the RabbitMQ server, or without URL and URLs the embedded broker.
type Broker struct {
	URL        Secret
	URLs       []Secret      // further ones
	AckTimeout time.Duration `mapstructure:"ack_timeout"` // 0: none
	Management Secret        // empty: nobody to ask
	Heartbeat  time.Duration
	TLS        TLS
	Auth       Auth
	RequireTLS bool `mapstructure:"require_tls"`
	Spool      Spool

	PublishWindow int `mapstructure:"publish_window"`
	Embedded      Embedded
	Reconnect     Backoff
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
	MinVersion string `mapstructure:"min_version"` // 1.2 or 1.3; empty: 1.3
}

// IsEmbedded reports whether the broker is the one inside the program.
func (b Broker) IsEmbedded() bool { return b.URL == "" && len(b.URLs) == 0 }

// All are the URLs of the brokers of which one is used; none for the embedded one.
func (b Broker) All() []Secret {
	if b.URL == "" {
		return b.URLs
	}
	return append([]Secret{b.URL}, b.URLs...)
}

// first is the first of All, or empty.
func (b Broker) first() string {
	if all := b.All(); len(all) > 0 {
		return all[0].Reveal()
	}
	return ""
}

// secure reports whether the way to each of the brokers is TLS.
func (b Broker) secure() bool {
	plain := func(u Secret) bool { return !strings.HasPrefix(u.Reveal(), "amqps:") }
	return !b.IsEmbedded() && !slices.ContainsFunc(b.All(), plain)
}

// Address is the URL without user and password, for people; of several brokers all.
func (b Broker) Address() string {
	if b.IsEmbedded() {
		return "embedded at " + b.Embedded.Listen
	}
	var all []string
	for _, text := range b.All() {
		u, err := url.Parse(text.Reveal())
		if err != nil {
			return redacted
		}
		address := (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
		if !slices.Contains(all, address) { // with another user, or in broker.url as well
			all = append(all, address)
		}
	}
	return strings.Join(all, ", ")
}

// Control is where `magne-actors tree` and the like find a running instance.
type Control struct {
	Socket string      // empty: internal/control's default
	Listen string      // host:port for TCP; empty: none
	Token  Secret      // what a request over TCP must bring; never empty with Listen
	TLS    Certificate // of Listen; empty: plain
}

// Metrics is where figures are served over TCP.
type Metrics struct {
	Listen string // host:port; empty: nowhere
}

// Supervision is what happens when a part of the runtime fails.
type Supervision struct {
	Root, Pools Supervisor
	Defaults    struct {
		Restart  string
		Shutdown time.Duration // 0: not set
		Backoff  Backoff
	}
}

// Supervisor is OTP's supervisor flags.
type Supervisor struct {
	Strategy  string
	Intensity int // 0: the first failure is one too many
	Period    time.Duration
	Shutdown  string // infinity, of Pools only
}

// Backoff is how long to wait between attempts.
type Backoff struct {
	Initial    time.Duration
	Factor     float64
	Max        time.Duration
	Jitter     float64       // 0..1
	ResetAfter time.Duration `mapstructure:"reset_after"`
}

// Pool is one queue and the workers that serve it. All defaults are filled in;
// what does not apply to its Mode is zero.
type Pool struct {
	Name         string `mapstructure:"-"`
	Queue        string
	Codec        string
	Declare      string
	Mode         string
	Workers      int // 0 with Size
	Slots        int // 0 with mode process
	Watermarks   Watermarks
	Timeout      Timeout
	AbandonAfter time.Duration `mapstructure:"abandon_after"`
	MaxBody      int           `mapstructure:"max_body"` // bytes
	Retry        Retry
	Intensity    int
	Period       time.Duration
	OnPanic      string `mapstructure:"on_panic"`
	Dedup        string
	OnExhausted  string `mapstructure:"on_exhausted"`
	Restart      string
	Shutdown     time.Duration   // may be supervisor.Infinity or supervisor.BrutalKill
	Tasks        map[string]Task // by task name; empty: the program brings handlers

	// Process is what runs the tasks of the modes process and oneshot, and of no
	// other; MaxLost and Logs belong to it.
	Process *Process
	MaxLost int `mapstructure:"max_lost"`
	Logs    Logs

	// The rest is of mode process only.
	Size                  *Size // nil: Workers processes
	Concurrency, Pipeline int
	StartTimeout          time.Duration `mapstructure:"start_timeout"`
	Watchdog              time.Duration // 0: none
	Quarantine            Quarantine
	Recycle               Recycle
	Reload                Reload
}

// Quarantine is where suspects run, tasks whose process has died.
type Quarantine struct {
	Slots int // 0: like all others
}

// Watermarks bound the deliveries that a pool holds.
type Watermarks struct{ High, Low int }

// Timeout is how long a task may run. With the modes coroutine and thread there
// is only Hard.
type Timeout struct {
	Soft, Hard time.Duration // 0: none
	KillAfter  time.Duration `mapstructure:"kill_after"`
	DumpSignal string        `mapstructure:"dump_signal"` // none, QUIT, ABRT, USR1 or USR2
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

// HasProcesses reports whether the tasks run in OS processes.
func (p *Pool) HasProcesses() bool { return p.Mode == modeProcess || p.Mode == modeOneshot }

// MaxWorkers is how many workers there may be.
func (p *Pool) MaxWorkers() int {
	if p.Size != nil {
		return p.Size.Max
	}
	return p.Workers
}

// MinWorkers is how many workers there are at least.
func (p *Pool) MinWorkers() int {
	if p.Size != nil {
		return p.Size.Min
	}
	return p.Workers
}

// PerWorker is how many tasks one worker can hold at once.
func (p *Pool) PerWorker() int {
	if p.Mode == modeProcess {
		return p.Pipeline
	}
	return p.Slots
}

// Capacity is how many tasks all workers can hold at once.
func (p *Pool) Capacity() int { return p.MaxWorkers() * p.PerWorker() }
