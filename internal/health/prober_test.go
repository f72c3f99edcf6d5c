package health_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magne-actors/magne-actors/internal/health"
)

// fake is a broker that can be told to fail or to hang.
type fake struct {
	dials, asks, closes atomic.Int64
	torn                atomic.Int64 // of closes: without any time
	refuse, fail, hang  atomic.Bool
}

func (f *fake) dial(ctx context.Context) (health.Asker, error) {
	f.dials.Add(1)
	if f.refuse.Load() {
		return nil, errors.New("refused")
	}
	return f, ctx.Err()
}

func (f *fake) Queue(ctx context.Context, name string) (health.Queue, error) {
	f.asks.Add(1)
	if f.hang.Load() {
		<-ctx.Done()
		return health.Queue{}, context.Cause(ctx)
	}
	if f.fail.Load() {
		return health.Queue{}, errors.New("cut")
	}
	return health.Queue{Ready: len(name), Consumers: 1}, nil
}

func (f *fake) Close(ctx context.Context) {
	f.closes.Add(1)
	if ctx.Err() != nil {
		f.torn.Add(1)
	}
}

// probing runs a prober of the queues a and bb in a bubble.
func probing(t *testing.T, test func(t *testing.T, f *fake, p *health.Prober)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := new(fake)
		p := health.NewProber(health.ProberOptions{Dial: f.dial, Queues: func() []string { return []string{"a", "bb"} }})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- p.Run(ctx) }()
		test(t, f, p)
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: got %v, want nil", err)
		}
		if opened := f.dials.Load(); !f.refuse.Load() && f.closes.Load() != opened {
			t.Errorf("%d connections opened, %d closed", opened, f.closes.Load())
		}
		if n := f.torn.Load(); n != 0 && !f.hang.Load() {
			t.Errorf("%d connections were torn down, which is a warning in the broker's log", n)
		}
	})
}

func TestManyQuestionsAreOne(t *testing.T) {
	probing(t, func(t *testing.T, f *fake, p *health.Prober) {
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				a := p.Ask(t.Context())
				if a.Err != nil || a.Queues["bb"] != (health.Queue{Ready: 2, Consumers: 1}) {
					t.Errorf("got %+v", a)
				}
			})
		}
		all.Wait()
		pass(4 * time.Second)
		p.Ask(t.Context())
		if got := f.asks.Load(); got != 2 {
			t.Errorf("asked about %d queues within 5 s, want the 2 there are", got)
		}
		pass(time.Second)
		p.Ask(t.Context())
		if asks, dials := f.asks.Load(), f.dials.Load(); asks != 4 || dials != 1 {
			t.Errorf("asked about %d queues on %d connections, want 4 on 1", asks, dials)
		}
	})
}

// Nobody asks, so nobody is asked, and the connection goes.
func TestAQuietProberDisconnects(t *testing.T) {
	probing(t, func(t *testing.T, f *fake, p *health.Prober) {
		pass(time.Hour)
		if got := f.dials.Load(); got != 0 {
			t.Errorf("%d connections before the first question", got)
		}
		p.Ask(t.Context())
		pass(59 * time.Second)
		if got := f.closes.Load(); got != 0 {
			t.Error("closed too early")
		}
		pass(2 * time.Second)
		if got := f.closes.Load(); got != 1 {
			t.Errorf("%d connections closed after a minute, want 1", got)
		}
		if a := p.Ask(t.Context()); a.Err != nil {
			t.Errorf("after that: got %v", a.Err)
		}
	})
}

func TestABrokerThatHangsHoldsUpNobodyForLong(t *testing.T) {
	probing(t, func(t *testing.T, f *fake, p *health.Prober) {
		f.hang.Store(true)
		began := time.Now()
		a := p.Ask(t.Context())
		if took := time.Since(began); a.Err == nil || took != 2*time.Second {
			t.Errorf("got %+v after %v, want an error after 2 s", a, took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		p.Ask(ctx)
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("a question of 1 s took %v", took-2*time.Second)
		}
		pass(3 * time.Second)
		if a := p.Ask(t.Context()); a.Err == nil || a.Err.Error() != "it has not answered in 5s" {
			t.Errorf("got %v, want the reason", a.Err)
		}
	})
}

func TestFailuresAreNotAskedForAgainAtOnce(t *testing.T) {
	probing(t, func(t *testing.T, f *fake, p *health.Prober) {
		f.refuse.Store(true)
		for range 600 {
			p.Ask(t.Context())
			pass(time.Second)
		}
		// After 10, 20 and 40 s, and then each minute.
		if got := f.dials.Load(); got < 10 || got > 14 {
			t.Errorf("dialled %d times in 10 minutes, want about 12", got)
		}
		f.refuse.Store(false)
		pass(time.Minute)
		if a := p.Ask(t.Context()); a.Err != nil {
			t.Errorf("after it came back: got %v", a.Err)
		}
		dials := f.dials.Load()
		f.fail.Store(true)
		pass(5 * time.Second)
		if a := p.Ask(t.Context()); a.Err == nil || len(a.Queues) > 0 {
			t.Errorf("got %+v, want an error and nothing else", a)
		}
		f.fail.Store(false)
		pass(10 * time.Second)
		if a := p.Ask(t.Context()); a.Err != nil || f.dials.Load() != dials+1 {
			t.Errorf("got %v and %d connections, want one new one", a.Err, f.dials.Load()-dials)
		}
		f.refuse.Store(true) // those refused above were never open, so they are not counted
	})
}

// pass lets time pass in a bubble.
func pass(d time.Duration) { <-time.After(d) }

// A prober with Every asks although nobody wants to know, and tells.
func TestProberAsksByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, told := new(fake), make(chan health.Answer, 100)
		ticks := 0
		p := health.NewProber(health.ProberOptions{
			Dial: f.dial, Queues: func() []string { return []string{"a"} },
			Every: 5 * time.Second, Told: func(a health.Answer) { told <- a },
			Idle: func() bool { ticks++; return ticks%2 == 1 }, // it asks each second time
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- p.Run(ctx) }()
		<-time.After(35 * time.Second)
		if len(told) != 3 || f.dials.Load() != 1 {
			t.Errorf("told %d times over %d connections, want 3 over 1", len(told), f.dials.Load())
		}
		if a := <-told; a.Err != nil || a.Queues["a"].Ready != 1 {
			t.Errorf("told %+v", a)
		}
		f.fail.Store(true)
		<-time.After(10 * time.Second)
		<-told
		<-told
		if a := <-told; a.Err == nil {
			t.Error("a failure was not told")
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestFinding(t *testing.T) {
	n := func(n int) *int { return &n }
	for _, c := range []struct {
		pool    health.Pool
		text    string
		starved bool
	}{
		{health.Pool{State: health.Idle, Messages: n(0)}, "no message waits", false},
		{health.Pool{State: health.Paused, Messages: n(1)}, "1 message waits", false},
		{health.Pool{State: health.Suspended, Messages: n(17)}, "17 messages wait", false},
		{health.Pool{State: health.Connecting}, "what waits is not known", false},
		{health.Pool{State: health.Stalled, Messages: n(17), Text: "has got nothing"}, "it has got nothing", true},
		{health.Pool{State: health.Unknown, Messages: n(17), Text: "believes to consume"}, "it believes to consume", true},
	} {
		if text, starved := c.pool.Finding(); text != c.text || starved != c.starved {
			t.Errorf("%+v: got %q, %v", c.pool, text, starved)
		}
	}
}
