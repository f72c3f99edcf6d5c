package publisher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/ladder"
	"github.com/magne-actors/magne-actors/internal/restart"
	"github.com/magne-actors/magne-actors/internal/spool"
	"github.com/magne-actors/magne-actors/task"
	"github.com/magne-actors/magne-actors/task/codec"
)

// Defaults of Options.
const (
	DefaultWindow     = 1000 // that of broker/amqp
	DefaultMinBackoff = 100 * time.Millisecond
	DefaultMaxBackoff = 30 * time.Second
	DefaultSpoolAfter = 2 * time.Second
)

// resetAfter is how long a session lives after which the next one is dialled as after
// the first loss. It is that of the runtime.
const resetAfter = 2 * time.Second

// Options configures a Publisher. Dialer is needed.
type Options struct {
	// Dialer connects, to one broker or to several of which one is as good as another,
	// such as amqp.Dialer with OneConnection.
	Dialer broker.Dialer
	// Window is how many publications may be unanswered at once; Publish and Async wait
	// for room. It should not be larger than the confirm window of the sessions
	// (amqp.Dialer.PublishWindow, 1000 as this). Default: 1000.
	Window int
	// MinBackoff and MaxBackoff are the shortest and the longest wait before another
	// attempt to connect, and before a refused message is published again. It doubles
	// from one to the other, and each is moved by up to a half to either side.
	// Defaults: 100 ms, 30 s.
	MinBackoff, MaxBackoff time.Duration
	// FailBlocked has what is not sent yet answered with ErrBlocked at once while the
	// broker blocks publishers, with a spool, too. Otherwise it waits: that is the back
	// pressure.
	FailBlocked bool
	// Codec makes the bodies of tasks. Default: codec.JSON.
	Codec task.Codec
	// AppID is the app-id of tasks. Default: magne-actors.
	AppID string
	// SpoolDir, when not empty, is a directory for what the broker does not take, see
	// the package comment. It is made when it is missing.
	SpoolDir string
	// SpoolMaxBytes bounds all files of SpoolDir together. Default: 256 MiB.
	SpoolMaxBytes int64
	// SpoolAfter is how long the broker may be away, or block publishers, before what is
	// published goes into the spool. Default: 2 s.
	SpoolAfter time.Duration
	// Logger gets lost sessions and failed attempts to connect. Default: none.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	o.Window = cmp.Or(o.Window, DefaultWindow)
	o.MinBackoff = cmp.Or(o.MinBackoff, DefaultMinBackoff)
	o.MaxBackoff = cmp.Or(o.MaxBackoff, max(o.MinBackoff, DefaultMaxBackoff))
	o.AppID = cmp.Or(o.AppID, "magne-actors")
	o.SpoolAfter = cmp.Or(o.SpoolAfter, DefaultSpoolAfter)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Codec == nil {
		o.Codec = codec.JSON{}
	}
	return o
}

func (o *Options) validate() error {
	var errs []error
	check := func(ok bool, text string) {
		if !ok {
			errs = append(errs, errors.New("publisher: "+text))
		}
	}
	check(o.Dialer != nil, "Dialer is needed, such as amqp.Dialer")
	check(o.Window > 0, "Window must be positive")
	check(o.MinBackoff > 0 && o.MaxBackoff >= o.MinBackoff, "want 0 < MinBackoff <= MaxBackoff")
	check(o.SpoolAfter >= 0, "SpoolAfter must not be negative")
	check(o.SpoolDir != "" || o.SpoolMaxBytes == 0, "SpoolMaxBytes without SpoolDir is no spool")
	return errors.Join(errs...)
}

var (
	// ErrBlocked: the broker blocks publishers, in an alarm about memory or disk, and
	// Options.FailBlocked says not to wait for its end; or the wait was too long.
	ErrBlocked = errors.New("the broker blocks publishers")
	// ErrClosed: the Publisher was closed.
	ErrClosed = errors.New("publisher closed")

	errFailed = fmt.Errorf("%w: it has failed, see its log", ErrClosed)
)

// Publisher publishes, over as many sessions as it takes. All methods are safe for
// concurrent use.
type Publisher struct {
	o     Options
	log   *slog.Logger
	owner *owner
	box   *mailbox
	spool broker.Spool // nil: none
	shut  func() error // closes it
	way   ladder.Way

	slots     chan struct{} // capacity: the window
	closing   chan struct{} // closed by Close
	closeOnce sync.Once
	ended     chan struct{} // closed when the owner has ended
	closeErr  error         // set by then
	workers   sync.WaitGroup

	session atomic.Pointer[broker.Session] // nil: none
	counts  counts
}

// New returns a Publisher, which connects when it is first needed, or at once with a
// spool, in which something may wait. Close it.
func New(o Options) (*Publisher, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	p := &Publisher{
		o: o, log: o.Logger, box: newMailbox(),
		slots: make(chan struct{}, o.Window), closing: make(chan struct{}), ended: make(chan struct{}),
	}
	if o.SpoolDir != "" {
		s, err := spool.Open(spool.Options{Dir: o.SpoolDir, MaxBytes: o.SpoolMaxBytes, Logger: o.Logger})
		if err != nil {
			return nil, fmt.Errorf("publisher: SpoolDir: %w", err)
		}
		p.spool, p.shut = s, s.Close
	}
	p.owner = &owner{p: p, ready: map[chan error]bool{}, book: newBook(settings{
		backoff:     restart.Backoff{Initial: o.MinBackoff, Max: o.MaxBackoff, Jitter: 0.5, ResetAfter: resetAfter},
		failBlocked: o.FailBlocked, spool: p.spool != nil, spoolAfter: o.SpoolAfter, random: rand.Float64,
	})}
	p.owner.dialCtx, p.owner.stop = context.WithCancel(context.Background())
	if p.spool != nil {
		p.box.post(func() { p.owner.book.want(time.Now()) })
	}
	go p.owner.run()
	return p, nil
}

// Connect blocks until there is a session or ctx ends. It returns at once when the
// broker has refused the credentials ([broker.ErrDenied]): another attempt would not
// help; publications wait for one all the same, as the credentials may be mended.
func (p *Publisher) Connect(ctx context.Context) error {
	var last error
	for {
		ready := make(chan error, 1)
		if !p.box.post(func() { p.owner.want(ready) }) {
			return ErrClosed
		}
		select {
		case err := <-ready:
			if err == nil {
				return nil
			}
			if last = err; errors.Is(err, broker.ErrDenied) || errors.Is(err, ErrClosed) {
				return fmt.Errorf("publisher: %w", err)
			}
		case <-ctx.Done():
			return fmt.Errorf("publisher: connect: %w", errors.Join(ctx.Err(), last))
		}
	}
}

// Publish publishes m and waits until it is accepted: confirmed by the broker, or safe
// in the spool. It waits for as long as ctx allows, over lost connections and refusals.
// The error is an [*Error]; it wraps
//   - [broker.ErrUnroutable], [broker.ErrForbidden] or [broker.ErrInvalid]: publishing
//     the same again cannot help;
//   - [broker.ErrUnknown] and ctx's error (or [ErrClosed]): it may have arrived;
//   - ctx's error (or [ErrClosed], [ErrBlocked]) without broker.ErrUnknown: it has not.
//     It wraps what was in the way, too, such as [broker.ErrRefused] or
//     [broker.ErrUnreachable].
//
// The headers and the body of m must not be changed before it returns.
func (p *Publisher) Publish(ctx context.Context, m *broker.Publication) error {
	r, err := p.Async(ctx, m)
	if err != nil {
		return err
	}
	_, err = r.Result()
	return err
}

// Async hands m over, and blocks only while the window is full. The error, an [*Error],
// says that m was not accepted, and nothing was published; otherwise the receipt gets
// the answer that Publish would return. ctx is that of the publication, until there is
// an answer. The headers and the body of m must not be changed until then.
func (p *Publisher) Async(ctx context.Context, m *broker.Publication) (*Receipt, error) {
	e := newEntry(m)
	if err := p.enter(ctx); err != nil {
		return nil, &Error{MessageID: e.pub.MessageID, Err: err}
	}
	r := e.receipt
	//nolint:contextcheck // what the answer leads to is not of this call
	e.heard = func(err error) { p.box.post(func() { p.owner.heard(e, err) }) }
	if ctx.Done() != nil {
		e.done = context.AfterFunc(ctx, func() {
			p.box.post(func() { p.owner.cancel(e, ctx.Err()) })
		})
	}
	if !p.box.post(func() { p.owner.add(e) }) {
		<-p.slots
		e.unwatch()
		return nil, &Error{MessageID: e.pub.MessageID, Err: ErrClosed}
	}
	return r, nil
}

// enter waits for room in the window.
func (p *Publisher) enter(ctx context.Context) error {
	select {
	case <-p.closing:
		return ErrClosed
	default:
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("not published: %w", err)
	}
	select {
	case p.slots <- struct{}{}:
		return nil
	default:
	}
	return p.enterLater(ctx)
}

func (p *Publisher) enterLater(ctx context.Context) error {
	look := time.NewTicker(pollEvery)
	defer look.Stop()
	for {
		select {
		case p.slots <- struct{}{}:
			return nil
		case <-p.closing:
			return ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("not published: the window of %d is full: %w", p.o.Window, ctx.Err())
		case <-look.C:
			if reason, since := p.Blocked(); p.o.FailBlocked && !since.IsZero() {
				return fmt.Errorf("not published: %w: %s", ErrBlocked, reason)
			}
		}
	}
}

func newEntry(m *broker.Publication) *entry {
	e := &entry{pub: *m, receipt: &Receipt{done: make(chan struct{})}}
	if e.pub.MessageID == "" {
		e.pub.MessageID = uuid.NewString()
	}
	e.receipt.id = e.pub.MessageID
	if queue, delayed := ladder.Delayed(m); delayed {
		e.delayed = queue
	}
	return e
}

// unwatch ends the watch over the context.
func (e *entry) unwatch() {
	if e.done != nil {
		e.done()
	}
}

// answer tells the caller.
func (p *Publisher) answer(e *entry, outcome Outcome, err error) {
	e.unwatch()
	p.counts.open.Add(-1)
	p.counts.note(outcome, err)
	r := e.receipt
	if r.outcome = outcome; err != nil {
		r.err = &Error{MessageID: r.id, Tries: e.tries, Err: err}
	}
	close(r.done)
	<-p.slots
}

// put hands a publication to the spool.
func (p *Publisher) put(e *entry) {
	p.spool.Put(&e.pub, func(release func(bool), err error) {
		p.box.post(func() { p.owner.kept(e, release, err) })
	})
}

// Blocked returns since when, and in its own words why, the broker takes no
// publications, or the zero time when it does. It does not block.
func (p *Publisher) Blocked() (reason string, since time.Time) {
	if s := p.session.Load(); s != nil {
		return (*s).Blocked()
	}
	return "", time.Time{}
}

// Close takes nothing new, waits until all that was taken is answered, and closes the
// session and the spool. When ctx ends first, the rest goes into the spool, if there is
// one, and is answered otherwise: with [ErrClosed], and [broker.ErrUnknown] where it may
// have arrived. Then Close returns an error that says how many. Nothing is unanswered
// when it returns.
func (p *Publisher) Close(ctx context.Context) error {
	p.closeOnce.Do(func() { close(p.closing) })
	p.box.post(func() { p.owner.close(ctx) })
	stop := context.AfterFunc(ctx, func() { p.box.post(p.owner.expire) })
	defer stop()
	<-p.ended
	over := make(chan struct{})
	go guarded(func() {
		defer close(over)
		p.workers.Wait()
	}, func(error) {})
	select {
	case <-over:
	case <-ctx.Done(): // a session does not end in its time
	}
	return p.closeErr
}
