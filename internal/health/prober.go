package health

import (
	"cmp"
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// Answer is what the broker has last said.
type Answer struct {
	At     time.Time        // when it was asked
	Queues map[string]Queue // by name; without those that were not asked about
	Err    error            // why it could not be asked; Queues is empty then
}

// Queue is what the broker says of one queue.
type Queue struct {
	Ready     int   // messages that wait
	Consumers int   // of all programs
	Err       error // why the broker does not tell, for example that it does not exist
	// Shared says that the queue may be such that a consumer gets nothing although
	// messages wait: one with a single active consumer.
	Shared bool
}

// Asker is a connection to the broker, used by one goroutine.
type Asker interface {
	// Queue asks about a queue. Its error is about the connection, which is closed
	// then; what is wrong with the queue is in Queue.Err.
	Queue(ctx context.Context, name string) (Queue, error)
	Close(ctx context.Context)
}

// ProberOptions configure a Prober. Dial and Queues are needed; the zero value of
// every other field is a usable default.
type ProberOptions struct {
	// Dial opens a connection. It makes one attempt, and its error must not
	// contain a password.
	Dial   func(ctx context.Context) (Asker, error)
	Queues func() []string // whom to ask about

	// Every, if not 0, is how often Run asks without anybody wanting to know, and Told
	// gets each answer, on Run's goroutine. It does not ask when Idle, if there is one,
	// says that nothing can be learned; Idle must not block.
	Every time.Duration
	Idle  func() bool
	Told  func(Answer)

	Fresh   time.Duration // for so long an answer is good; 5 s by default
	Wait    time.Duration // that Ask blocks at most; 2 s by default
	Timeout time.Duration // for asking about all queues; 5 s by default
	MaxRest time.Duration // after failures, doubling from Fresh; 1 min by default
	Linger  time.Duration // without questions, until the connection is closed; 1 min by default
}

// Prober asks a broker how much waits in queues, when somebody wants to know.
type Prober struct {
	o    ProberOptions
	want chan struct{} // capacity 1; Ask sends, Run receives; never closed
	now  atomic.Pointer[known]
}

// known is an answer until the next one.
type known struct {
	Answer
	until    time.Time     // it is not asked again before
	replaced chan struct{} // closed by Run when there is another one
}

var errUnasked = errors.New("it has not been asked yet")

// NewProber makes a Prober; nothing runs before Run.
func NewProber(o ProberOptions) *Prober {
	o.Fresh = cmp.Or(o.Fresh, 5*time.Second)
	o.Wait = cmp.Or(o.Wait, 2*time.Second)
	o.Timeout = cmp.Or(o.Timeout, 5*time.Second)
	o.MaxRest = cmp.Or(o.MaxRest, time.Minute)
	o.Linger = cmp.Or(o.Linger, time.Minute)
	p := &Prober{o: o, want: make(chan struct{}, 1)}
	p.now.Store(&known{Answer: Answer{Err: errUnasked}, replaced: make(chan struct{})})
	return p
}

// Ask returns the newest answer. When it is older than it should be, Ask has the
// broker asked and waits for that, until ctx ends or for ProberOptions.Wait;
// then it returns the old one. It may be called by any number of goroutines.
func (p *Prober) Ask(ctx context.Context) Answer {
	k := p.now.Load()
	if time.Now().Before(k.until) {
		return k.Answer
	}
	select {
	case p.want <- struct{}{}:
	default: // somebody else wants it already
	}
	limit := time.NewTimer(p.o.Wait)
	defer limit.Stop()
	select {
	case <-k.replaced:
	case <-limit.C:
	case <-ctx.Done():
	}
	return p.now.Load().Answer
}

// Run asks the broker when somebody wants to know, until ctx ends, and returns
// nil. It is for one goroutine at a time; called again, it goes on.
func (p *Prober) Run(ctx context.Context) error {
	link := &linked{o: &p.o}
	defer link.part(ctx)
	linger := time.NewTimer(p.o.Linger)
	defer linger.Stop()
	every, stop := p.every()
	defer stop()
	rest := p.o.Fresh
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-linger.C:
			link.drop(ctx)
			continue
		case <-every:
			if p.o.Idle != nil && p.o.Idle() {
				continue
			}
		case <-p.want:
		}
		linger.Reset(p.o.Linger)
		old := p.now.Load()
		if time.Now().Before(old.until) {
			continue // asked for while the answer was on its way
		}
		answer := link.ask(ctx)
		rest = min(2*rest, p.o.MaxRest)
		if answer.Err == nil {
			rest = p.o.Fresh
		}
		p.now.Store(&known{Answer: answer, until: time.Now().Add(rest), replaced: make(chan struct{})})
		close(old.replaced)
		if p.o.Told != nil && ctx.Err() == nil {
			p.o.Told(answer)
		}
	}
}

// every ticks as often as Every says.
func (p *Prober) every() (ticks <-chan time.Time, stop func()) {
	if p.o.Every <= 0 {
		return nil, func() {}
	}
	t := time.NewTicker(p.o.Every)
	return t.C, t.Stop
}

// linked is the connection, if there is one.
type linked struct {
	o  *ProberOptions
	to Asker
}

func (l *linked) ask(ctx context.Context) Answer {
	ctx, cancel := context.WithTimeoutCause(ctx, l.o.Timeout, errors.New("it has not answered in "+l.o.Timeout.String()))
	defer cancel()
	a := Answer{At: time.Now()}
	if l.to == nil {
		if l.to, a.Err = l.o.Dial(ctx); a.Err != nil {
			l.to = nil
			return a
		}
	}
	queues := map[string]Queue{}
	for _, name := range l.o.Queues() {
		q, err := l.to.Queue(ctx, name)
		if err != nil {
			l.drop(ctx)
			a.Err = err
			return a
		}
		queues[name] = q
	}
	a.Queues = queues
	return a
}

// farewell is how long the end of Run waits for the broker to close the connection
// in good order; one that is torn down is a warning in its log.
const farewell = time.Second / 2

// part is drop after the end of ctx.
func (l *linked) part(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	l.drop(ctx)
}

func (l *linked) drop(ctx context.Context) {
	if l.to != nil {
		l.to.Close(ctx)
		l.to = nil
	}
}
