package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
)

// moveWindow is how many copies may wait for the broker's confirm.
const moveWindow = 256

// mover publishes copies, and does what is to be done after each confirm. It is for
// one goroutine.
type mover struct {
	session   broker.Session
	pace      *pace
	confirmed func(tag uint64) error // called in the goroutine of publish and finish

	answers chan answer // from the session; its capacity is what may be open
	open    int         // without an answer
	done    int
	bad     int   // answered otherwise
	err     error // the first of these
}

type answer struct {
	tag uint64
	err error
}

func newMover(s broker.Session, p *pace, confirmed func(tag uint64) error) *mover {
	return &mover{session: s, pace: p, confirmed: confirmed, answers: make(chan answer, moveWindow)}
}

// publish hands over one copy when it is due, and does what the answers that have
// come ask for. After an error nothing more is to be published.
func (m *mover) publish(ctx context.Context, tag uint64, p *broker.Publication) error {
	if err := m.await(ctx); err != nil {
		return err
	}
	m.open++
	if err := m.session.Publish(ctx, p, func(err error) { m.answers <- answer{tag, err} }); err != nil {
		m.open--
		return err
	}
	return nil
}

// await settles answers until the next copy is due and the window has room.
func (m *mover) await(ctx context.Context) error {
	timer := time.NewTimer(m.pace.next(time.Now()))
	defer timer.Stop()
	due := timer.C
	for due != nil || m.open == moveWindow {
		select {
		case <-due:
			due = nil
		case a := <-m.answers:
			m.settle(a)
		case <-ctx.Done():
			return ctx.Err()
		}
		if m.err != nil {
			return m.err
		}
	}
	return nil
}

func (m *mover) settle(a answer) {
	m.open--
	err := a.err
	if err == nil {
		if err = m.confirmed(a.tag); err == nil {
			m.done++
			return
		}
	}
	if m.bad++; m.err == nil {
		m.err = err
	}
}

// finish waits for the answers that are open, as long as one comes now and then, and
// returns the first error there was: that of publish, which is err, or of an answer.
func (m *mover) finish(ctx context.Context, err error) error {
	patience := time.NewTimer(grace)
	defer patience.Stop()
	for m.open > 0 {
		select {
		case a := <-m.answers:
			m.settle(a)
			patience.Reset(grace)
			continue
		case <-patience.C:
		case <-ctx.Done():
		}
		m.bad += m.open
		m.open = 0
		err = errors.Join(err, fmt.Errorf("no answer to what was published last: %w", broker.ErrUnknown))
	}
	if m.err != nil {
		return m.err
	}
	return err
}

// unmoved gives the error of a mover its exit status and a hint.
func unmoved(err error) error {
	switch {
	case errors.Is(err, broker.ErrUnroutable):
		return failed(exitError, err, "there is no such queue: `magne-actors run` declares those of its pools, or check the name. What was not confirmed stays")
	case errors.Is(err, broker.ErrRefused), errors.Is(err, broker.ErrUnknown), errors.Is(err, amqp.ErrLost):
		return failed(exitTemporary, err, "the queue may be full, or the connection was lost: try again. What was not confirmed stays, and may be there twice")
	case errors.Is(err, context.DeadlineExceeded):
		return failed(exitTemporary, errors.New("stopped, because --timeout is over"), "the same command goes on with the rest; --timeout gives it more time")
	}
	return buried(err)
}

// pace is how fast something may be done.
type pace struct {
	interval time.Duration // 0: as fast as possible
	due      time.Time
}

// next returns how long to wait before the next one. What is late is not caught up.
func (p *pace) next(now time.Time) time.Duration {
	if p.due.Before(now) {
		p.due = now
	}
	wait := p.due.Sub(now)
	p.due = p.due.Add(p.interval)
	return wait
}

// parsePace reads a rate: 10, 10/s, 600/m, 5/h. "" is without a limit.
func parsePace(text string) (*pace, error) {
	if text == "" {
		return &pace{}, nil
	}
	number, unit, given := strings.Cut(text, "/")
	if !given {
		unit = "s"
	}
	per, ok := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[unit]
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !ok || !(n > 0) || float64(per)/n > float64(24*time.Hour) {
		return nil, usageError(fmt.Errorf("--rate %q", text), "write --rate 10/s, 600/m or 5/h")
	}
	return &pace{interval: time.Duration(float64(per) / n)}, nil
}

// progress shows how far a command is: as a bar on a terminal, else as a line now and
// then.
type progress struct {
	out   io.Writer
	bar   *progressbar.ProgressBar // nil where out is no terminal
	shown time.Time
}

func newProgress(out io.Writer, what string) *progress {
	p := &progress{out: out, shown: time.Now()}
	if isTerminal(out) {
		p.bar = progressbar.NewOptions(-1, progressbar.OptionSetWriter(out), progressbar.OptionSetDescription(what),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	return p
}

// show is called for each message; n and of are how many were looked at, the text
// says what became of them.
func (p *progress) show(n, of int, text string, args ...any) {
	p.step(n, of, fmt.Sprintf("looked at %d of %d, ", n, of)+text, args...)
}

// step is show with a text that says all.
func (p *progress) step(n, of int, text string, args ...any) {
	if p.bar != nil {
		if p.bar.GetMax() != of {
			p.bar.ChangeMax(of)
		}
		_ = p.bar.Set(n) // a bar that cannot be drawn must not stop the work
		return
	}
	if now := time.Now(); now.Sub(p.shown) >= plainEvery {
		p.shown = now
		fmt.Fprintf(p.out, text+"\n", args...)
	}
}

func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
