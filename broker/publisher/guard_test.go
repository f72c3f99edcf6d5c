package publisher_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/publisher"
)

// wild breaks the rules of dialers and sessions, once each.
type wild struct {
	*stage
	how   func()
	dial  bool
	tries int
}

type wildSession struct {
	broker.Session
	w *wild
}

func (w *wild) Dial(ctx context.Context) (broker.Session, error) {
	if w.tries++; w.dial && w.tries == 1 {
		w.how()
	}
	s, err := w.stage.Dial(ctx)
	return &wildSession{s, w}, err
}

func (s *wildSession) Publish(ctx context.Context, p *broker.Publication, done func(error)) error {
	if s.w.tries == 1 {
		s.w.tries++
		s.w.how()
	}
	return s.Session.Publish(ctx, p, done)
}

// TestWild: neither a panic nor a Goexit in somebody else's code costs a message.
func TestWild(t *testing.T) {
	for name, how := range map[string]func(){"panic": func() { panic("wild") }, "goexit": runtime.Goexit} {
		for _, dial := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/dial=%t", name, dial), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := open(t, publisher.Options{Dialer: &wild{stage: newStage(), how: how, dial: dial}})
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					defer cancel()
					if err := p.Publish(ctx, message("m")); err != nil {
						t.Error(err)
					}
					shut(t, p)
				})
			})
		}
	}
}

// blind panics in the owner, which asks whether the broker blocks.
type blind struct{ *stage }

type blindSession struct{ broker.Session }

func (b blind) Dial(ctx context.Context) (broker.Session, error) {
	s, err := b.stage.Dial(ctx)
	return &blindSession{s}, err
}

func (*blindSession) Blocked() (string, time.Time) { panic("blind") }

// TestOwnerFails: whoever waits is answered.
func TestOwnerFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := blind{newStage()}
		p := open(t, publisher.Options{Dialer: b})
		b.hold()
		list := async(t, p, 3)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Publish(ctx, message("m")); !errors.Is(err, publisher.ErrClosed) {
			t.Errorf("the one whose end has it ask: %v", err)
		}
		want(t, list, 0, publisher.ErrClosed, broker.ErrUnknown)
		if err := p.Publish(t.Context(), message("m")); !errors.Is(err, publisher.ErrClosed) {
			t.Errorf("after it: %v", err)
		}
		shut(t, p)
	})
}

func TestOptions(t *testing.T) {
	for text, o := range map[string]publisher.Options{
		"Dialer":     {},
		"Window":     {Dialer: newStage(), Window: -1},
		"MinBackoff": {Dialer: newStage(), MinBackoff: time.Second, MaxBackoff: time.Millisecond},
		"SpoolAfter": {Dialer: newStage(), SpoolAfter: -1},
		"SpoolDir":   {Dialer: newStage(), SpoolMaxBytes: 1},
		"directory":  {Dialer: newStage(), SpoolDir: "/dev/null", SpoolMaxBytes: 1},
	} {
		if p, err := publisher.New(o); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, %v", text, p, err)
		}
	}
}
