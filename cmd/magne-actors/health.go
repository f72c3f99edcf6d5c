package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/magne-actors/magne-actors/actors"
	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/config"
	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/internal/health"
	"github.com/magne-actors/magne-actors/internal/metrics"
	"github.com/magne-actors/magne-actors/internal/sdnotify"
	"github.com/magne-actors/magne-actors/supervisor"
)

// The nodes of what looks at the instance. No pool can have such a name.
const (
	proberID  = "control:prober"
	metricsID = "control:metrics"
	notifyID  = "control:systemd"
)

const (
	liveTimeout = 2 * time.Second
	// probeEvery is how often the broker is asked what waits when a pool gets nothing any
	// more, and probeAnyway how often in any case.
	probeEvery  = time.Second
	probeAnyway = 10 * time.Second
	// probeRest is the longest time without an attempt to ask a broker that does not
	// answer: a consumer may be forgotten by one that comes back.
	probeRest = 5 * time.Second
	// stuckAfter is how long an actor of the runtime may handle one message.
	stuckAfter = 10 * time.Second
)

// watch is what tells others how a System is doing: Prometheus, probes, systemd.
type watch struct {
	system    *actors.System // set before it runs
	judge     health.Judge
	prober    *health.Prober
	collector *metrics.Collector
	figures   http.Handler
	notify    *sdnotify.Notifier
	quiet     quiet
}

// newWatch adds to o what a watch needs. The System that is made of o becomes
// its system. The error is ready to be returned by a command.
func newWatch(ctx context.Context, f *config.File, o *actors.Options, log *slog.Logger) (*watch, error) {
	w := &watch{}
	w.prober = health.NewProber(health.ProberOptions{
		Dial: askerOf(f, o.Dialer), Queues: w.queues, Told: w.told,
		Every: probeEvery, Idle: func() bool { return !w.quiet.due(time.Now(), w.system.Stats()) },
		Fresh: probeEvery / 2, MaxRest: probeRest,
	})
	w.collector = metrics.New(metrics.Source{
		Version:    version(),
		Stats:      func() []actors.PoolStats { return w.system.Stats() },
		Tree:       func() *supervisor.Node { return w.system.Tree() },
		Reconnects: func() int64 { return w.system.Reconnects() },
	})
	w.figures = metrics.Handler(w.collector, log)
	w.notify = w.newNotifier(log)
	o.Services = append(o.Services, actors.Service{ID: proberID, Kind: "control", Run: w.prober.Run})
	if f.Metrics.Listen != "" && !isCopy() {
		s, err := metrics.Listen(ctx, f.Metrics.Listen, metrics.Routes{Metrics: w.figures, Live: livez(w.alive), Ready: w.readyz()}, log)
		if err != nil {
			return nil, failed(exitError, err, "metrics.listen must be a free address of this machine")
		}
		o.Services = append(o.Services, actors.Service{ID: metricsID, Kind: "control", Run: s.Run})
	}
	if w.notify.Enabled() {
		o.Services = append(o.Services, actors.Service{ID: notifyID, Kind: "control", Run: w.notify.Run})
	}
	return w, nil
}

// attach gives a control socket what it shows of w, and w what it counts. It comes
// after whatever else is set in src and o.
func (w *watch) attach(src *control.Source, o *actors.Options) {
	src.Metrics = w.figures
	src.Report = func(ctx context.Context) (any, error) {
		r := w.report(ctx)
		return r, r.Err()
	}
	observe := o.Observe
	o.Observe = func(e supervisor.Event) {
		if observe != nil {
			observe(e)
		}
		w.collector.Observe(e)
	}
}

// quiet decides when the broker is asked. It is the prober's.
type quiet struct {
	asked time.Time
	waits bool             // by the last answer, some pool has something to get
	pools map[string]still // by name
}

// still is how much a pool had got at the last look, and since when.
type still struct {
	delivered int64
	since     time.Time
}

// due is whether the broker must be asked: a pool that consumes and has room has got
// nothing since the last look, after it got something not long ago or while something
// waits; or nobody has asked for a while. A fleet of idle pools asks seldom.
func (q *quiet) due(now time.Time, pools []actors.PoolStats) bool {
	due := now.Sub(q.asked) >= probeAnyway
	next := make(map[string]still, len(pools))
	for i := range pools {
		p := &pools[i]
		s, known := q.pools[p.Pool]
		if !known || s.delivered != p.Delivered {
			s = still{p.Delivered, now}
		}
		due = due || !s.since.Equal(now) && p.Consuming && !p.Paused && (q.waits || now.Sub(s.since) <= probeAnyway)
		next[p.Pool] = s
	}
	q.pools = next
	if due {
		q.asked = now
	}
	return due
}

// answered notes what the broker has said.
func (q *quiet) answered(a health.Answer) {
	q.waits = false
	for _, queue := range a.Queues {
		q.waits = q.waits || queue.Ready > 0
	}
}

// queues are those of the pools that there are now.
func (w *watch) queues() []string {
	var names []string
	for _, s := range w.system.Stats() {
		names = append(names, s.Queue)
	}
	return names
}

// report is whether the instance does its work.
func (w *watch) report(ctx context.Context) health.Report {
	answer := w.prober.Ask(ctx)
	return w.judge.Judge(health.Input{Now: time.Now(), Tree: w.system.Tree(), Pools: w.system.Stats(), Answer: answer})
}

// told tells each pool what the broker has just said of its queue.
func (w *watch) told(answer health.Answer) {
	w.quiet.answered(answer)
	report := w.judge.Judge(health.Input{Now: time.Now(), Tree: w.system.Tree(), Pools: w.system.Stats(), Answer: answer})
	for _, p := range report.Pools {
		text, starved := p.Finding()
		w.system.Probed(p.Pool, answer.At, text, starved)
	}
}

// alive returns nil when the runtime has handled a message, and none of its actors
// hangs in one.
func (w *watch) alive(ctx context.Context) error {
	if err := w.system.Ping(ctx); err != nil {
		return err
	}
	return health.Stuck(w.system.Tree(), time.Now(), stuckAfter)
}

func (w *watch) readyz() http.Handler {
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) { w.report(r.Context()).ServeHTTP(out, r) })
}

func livez(alive func(context.Context) error) http.Handler {
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), liveTimeout)
		defer cancel()
		if err := alive(ctx); err != nil {
			http.Error(out, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(out, "ok")
	})
}

// askerOf is how the prober reaches the broker of the pools.
func askerOf(f *config.File, d broker.Dialer) func(context.Context) (health.Asker, error) {
	own := map[string]bool{}
	for i := range f.Pools {
		q := f.Pools[i].BrokerQueue()
		own[q.Name] = q.Declare == broker.DeclareCreate
	}
	return func(ctx context.Context) (health.Asker, error) {
		dialer, ok := d.(amqp.Dialer)
		if !ok {
			return nil, fmt.Errorf("a broker of type %T cannot tell what waits", d)
		}
		admin, err := dialer.Admin(ctx)
		if err != nil {
			return nil, err
		}
		return asker{admin, own}, nil
	}
}

// asker is an Admin as the prober sees it. Of a queue that is not our own we do not
// know how it deals out its messages.
type asker struct {
	*amqp.Admin
	own map[string]bool
}

// Queue implements health.Asker.
func (a asker) Queue(ctx context.Context, name string) (health.Queue, error) {
	counts, err := a.Admin.Queue(ctx, name)
	for _, refusal := range []error{amqp.ErrNoQueue, amqp.ErrLocked, amqp.ErrConflict, broker.ErrDenied} {
		if errors.Is(err, refusal) {
			return health.Queue{Err: err}, nil
		}
	}
	return health.Queue{Ready: counts.Ready, Consumers: counts.Consumers, Shared: !a.own[name]}, err
}
