package config

import (
	"log/slog"
	"slices"
	"time"

	"github.com/magne-actors/magne-actors/actors"
	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/task"
	"github.com/magne-actors/magne-actors/task/builtin"
	"github.com/magne-actors/magne-actors/task/codec"
	"github.com/magne-actors/magne-actors/task/httptask"
)

// Options turns the file into the options of a System, and connects to nothing
// yet. A pool without tasks in the file is served by mux; with a nil mux it is an
// error, and so is a secret of a process that cannot be read. The error is of type
// Errors and contains those of Parse too. A nil log is silent.
func (f *File) Options(log *slog.Logger, mux *task.Mux) (actors.Options, error) {
	errs := slices.Concat(f.read.errs, f.read.lacks)
	for i := range f.Pools {
		if mux == nil && f.lacksTasks(&f.Pools[i]) {
			errs = append(errs, f.read.at(poolPath(f.Pools[i].Name)+".tasks",
				"no task: name what this pool runs, for example tasks: {hello: {builtin: echo}}"))
		}
	}
	if len(errs) > 0 {
		return actors.Options{}, sorted(errs)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	dialer, err := f.Dialer(log)
	if err != nil {
		return actors.Options{}, err
	}
	o := actors.Options{
		Dialer:     dialer,
		Shutdown:   f.Shutdown,
		Root:       f.spec(f.Supervision.Root),
		Reconnect:  f.Broker.Reconnect.backoff(),
		AckTimeout: f.ackTimeout(),
		Logger:     log,

		PoolsSupervisor: f.spec(f.Supervision.Pools),
	}
	for i := range f.Pools {
		p, err := f.pool(&f.Pools[i], log, mux)
		if err != nil {
			return actors.Options{}, err
		}
		o.Pools = append(o.Pools, p)
	}
	return o, nil
}

// lacksTasks reports whether the pool has no tasks, and not because of another
// mistake: a pool of a mode that is refused may not need any.
func (f *File) lacksTasks(p *Pool) bool {
	at := poolPath(p.Name)
	return len(p.Tasks) == 0 && !p.HasProcesses() && f.read.usable(at+".mode", at+".tasks") && !f.read.badBelow(at+".tasks")
}

// ackTimeout is actors.Options.AckTimeout.
func (f *File) ackTimeout() time.Duration {
	limit := f.Broker.AckTimeout
	if f.Broker.IsEmbedded() {
		limit = f.Broker.Embedded.ConsumerTimeout
	}
	if limit == 0 {
		return -1
	}
	return limit
}

// Dialer makes the dialer for the file's broker. It reads the files of broker.tls.
// A nil log is silent.
func (f *File) Dialer(log *slog.Logger) (broker.Dialer, error) {
	d, err := f.AMQP(log)
	return d, err
}

// AMQP is Dialer with its options open. That for the embedded broker goes to its
// listener as guest, and takes no other broker for it.
func (f *File) AMQP(log *slog.Logger) (amqp.Dialer, error) {
	d := amqp.Dialer{
		URL: f.Broker.URL.Reveal(), Heartbeat: f.Broker.Heartbeat, Logger: log, PublishWindow: f.Broker.PublishWindow,
		Login: f.login(), External: f.Broker.Auth.Mechanism == external, RequireTLS: f.Broker.RequireTLS && !f.Broker.IsEmbedded(),
	}
	if all := f.Broker.All(); len(f.Broker.URLs) > 0 {
		d.URL, d.Rotation = all[0].Reveal(), new(amqp.Rotation)
		for _, u := range all {
			d.URLs = append(d.URLs, u.Reveal())
		}
	}
	var err error
	at := "broker.tls"
	if f.Broker.IsEmbedded() {
		at = "broker.embedded.tls"
		d.URL, d.Product = f.Broker.Embedded.ClientURL(), EmbeddedProduct
		d.TLS, err = f.Broker.Embedded.TLS.clientTLS()
	} else {
		d.TLS, err = f.Broker.TLS.config()
	}
	if err != nil {
		return amqp.Dialer{}, Errors{f.read.at(at, "%v", err)}
	}
	return d, nil
}

// EmbeddedProduct is what the embedded broker calls itself.
const EmbeddedProduct = "magne-actors embedded broker"

// BrokerQueue describes the pool's queue to a broker, with what belongs to it.
func (p *Pool) BrokerQueue() broker.Queue {
	q := amqp.QuorumQueue(p.Queue)
	if p.Codec == (codec.Magne{}).Name() {
		q = amqp.MagneQueue(p.Queue)
	}
	switch p.Declare {
	case "passive":
		q.Declare = broker.DeclarePassive
	case "match":
		q.Declare = broker.DeclareMatch
	default:
		q.Declare = broker.DeclareCreate
	}
	return q
}

func (f *File) pool(p *Pool, log *slog.Logger, mux *task.Mux) (actors.Pool, error) {
	c, err := codec.ByName(p.Codec)
	if err != nil {
		return actors.Pool{}, err
	}
	if p.HasProcesses() {
		mux = nil
	} else if len(p.Tasks) > 0 {
		if mux, err = p.mux(log); err != nil {
			return actors.Pool{}, err
		}
	}
	workers := f.spec(Supervisor{Strategy: "one_for_one", Intensity: p.Intensity, Period: p.Period})
	workers.Parallel = true
	if p.OnExhausted == "park" {
		workers.OnExhausted = supervisor.Park
	}
	o := actors.Pool{
		Name: p.Name, Queue: p.BrokerQueue(), Codec: c, Mux: mux, Mode: mode(p.Mode),
		Workers: p.MaxWorkers(), Slots: p.PerWorker(), High: p.Watermarks.High, Low: p.Watermarks.Low,
		Timeout: p.Timeout.Hard, AbandonAfter: p.AbandonAfter, MaxBody: p.MaxBody,
		Retry:     p.Retry.policy(),
		Supervise: workers, WorkerRestart: restart(p.Restart), WorkerShutdown: p.Shutdown,
	}
	if p.Dedup == "off" {
		o.Dedup = actors.DedupOff
	}
	if p.OnPanic == "crash" {
		o.OnPanic = actors.CrashWorker
	}
	return o, f.processPool(p, &o, log)
}

func mode(name string) actors.Mode {
	return map[string]actors.Mode{"thread": actors.Thread, modeProcess: actors.Process, modeOneshot: actors.Oneshot}[name]
}

func restart(name string) supervisor.Restart {
	return map[string]supervisor.Restart{"transient": supervisor.Transient, "temporary": supervisor.Temporary}[name]
}

// mux registers the tasks that the file names.
func (p *Pool) mux(log *slog.Logger) (*task.Mux, error) {
	mux := task.NewMux()
	for _, name := range sortedNames(p.Tasks) {
		t := p.Tasks[name]
		var h task.Handler
		var err error
		if t.HTTP != nil {
			h, err = t.HTTP.handler()
		} else {
			h, err = builtin.Options{Logger: log}.New(t.Builtin)
		}
		if err != nil {
			return nil, err
		}
		mux.Handle(name, h)
	}
	return mux, nil
}

// handler makes the handler for as many tasks at once as a pool may ever run: its
// workers, which limit them, may become more while it runs.
func (h *HTTP) handler() (task.Handler, error) {
	headers := make(map[string]string, len(h.Headers))
	for name, value := range h.Headers {
		headers[name] = value.Reveal()
	}
	return httptask.New(httptask.Options{URL: h.URL.Reveal(), Method: h.Method, Headers: headers, MaxConcurrent: actors.MaxHigh})
}

func (f *File) spec(s Supervisor) *supervisor.Spec {
	spec := &supervisor.Spec{Intensity: s.Intensity, Period: s.Period, Backoff: f.Supervision.Defaults.Backoff.backoff()}
	if s.Intensity == 0 {
		spec.Intensity = -1 // there, zero stands for a default
	}
	switch s.Strategy {
	case "one_for_one":
		spec.Strategy = supervisor.OneForOne
	case "one_for_all":
		spec.Strategy = supervisor.OneForAll
	default:
		spec.Strategy = supervisor.RestForOne
	}
	return spec
}

func (b Backoff) backoff() supervisor.Backoff { return supervisor.Backoff(b) }
