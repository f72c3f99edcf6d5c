package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/spool"
	"github.com/magne-actors/magne-actors/internal/topology"
)

// plainEvery is how often progress is printed where there is no terminal.
const plainEvery = 2 * time.Second

// tally counts what the broker answers to publications, and shows it: as a bar
// on a terminal, as a line now and then otherwise.
type tally struct {
	out   io.Writer
	bar   *progressbar.ProgressBar // nil where out is no terminal
	total int                      // -1: not known

	mu       sync.Mutex
	pending  int
	counts   published
	err      error // the first that was not a confirm
	shown    time.Time
	answered chan struct{} // capacity 1; sent to after each answer
}

func newTally(out io.Writer, total int) *tally {
	t := &tally{out: out, total: total, shown: time.Now(), answered: make(chan struct{}, 1)}
	if isTerminal(out) && total != 1 {
		t.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(out), progressbar.OptionSetDescription("publishing"),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	return t
}

func (t *tally) sent() {
	t.mu.Lock()
	t.pending++
	t.mu.Unlock()
}

// unsent takes back a message that the session has not accepted.
func (t *tally) unsent() {
	t.mu.Lock()
	t.pending--
	t.mu.Unlock()
}

// answer counts one answer; it is called by the session.
func (t *tally) answer(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pending--
	switch {
	case err == nil:
		t.counts.Confirmed++
	case errors.Is(err, errSpooled):
		t.counts.Spooled++
		err = nil
	case errors.Is(err, broker.ErrUnroutable):
		t.counts.Unroutable++
	case errors.Is(err, broker.ErrRefused):
		t.counts.Refused++
	default:
		t.counts.Unknown++
	}
	if err != nil && t.err == nil {
		t.err = err
	}
	t.show()
	select {
	case t.answered <- struct{}{}:
	default:
	}
}

func (t *tally) show() {
	if t.bar != nil {
		_ = t.bar.Add(1) // a bar that cannot be drawn must not stop the work
		return
	}
	if now := time.Now(); now.Sub(t.shown) >= plainEvery {
		t.shown = now
		of := ""
		if t.total >= 0 {
			of = fmt.Sprintf(" of %d", t.total)
		}
		fmt.Fprintf(t.out, "published %d%s\n", t.counts.Confirmed, of)
	}
}

// waiting is how many have no answer yet.
func (t *tally) waiting() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pending
}

// wait blocks until everything is answered, or no answer came for as long as
// patience; what is not answered then is counted as unknown.
func (t *tally) wait(patience time.Duration) (counts published, unanswered int) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for t.waiting() > 0 && patience > 0 {
		select {
		case <-t.answered:
			timer.Reset(patience)
		case <-timer.C:
			patience = 0
		}
	}
	if t.bar != nil {
		_ = t.bar.Finish()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	counts = t.counts
	counts.Unknown += t.pending
	return counts, t.pending
}

// first is the first answer that was not a confirm.
func (t *tally) first() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// failure is the error of a run that sent ended with and of which the broker's
// first complaint is given.
func (p *published) failure(sent, first error) error {
	said := fmt.Sprintf("%d unroutable, %d refused, %d unknown", p.Unroutable, p.Refused, p.Unknown)
	switch {
	case errors.Is(first, broker.ErrForbidden) && p.Due != nil:
		return failed(exitError, fmt.Errorf("%s: %w", said, first),
			"who delays tasks needs the permission write for the exchanges of the ladder, ^magne\\.v1\\.delay\\.: `magne-actors topology permissions`")
	case errors.Is(first, broker.ErrForbidden):
		return failed(exitError, fmt.Errorf("%s: %w", said, first), "the user needs the permission write for that exchange: `magne-actors topology permissions`; "+
			"a producer\n  that may not use the default exchange, amq.default, publishes with --exchange %s", topology.EntryExchange)
	case p.Unroutable > 0 && p.Due != nil && errors.Is(first, broker.ErrTopology):
		return failed(exitError, fmt.Errorf("%s: %w", said, first),
			"the exchanges and queues for delays are not declared, and this user may not declare them: have one do it who may, by `magne-actors publish --in 1s` or `magne-actors topology apply`")
	case p.Unroutable > 0:
		return failed(exitError, fmt.Errorf("%s: %w", said, first),
			"no queue got them: `magne-actors run` declares the queue of its pools, or check the name")
	case errors.Is(sent, errStalled):
		return failed(exitTemporary, fmt.Errorf("stopped after %d confirmed, %s: %w", p.Confirmed, said, sent),
			"ask the broker with `rabbitmqctl status`; what was confirmed is in the queue")
	case errors.Is(first, spool.ErrFull), errors.Is(first, errUnspooled):
		return failed(exitTemporary, fmt.Errorf("%s: %w", said, first),
			"neither the broker nor the spool took them: see to the spool's directory and its disk, or to the broker, and try again")
	case p.Refused+p.Unknown > 0:
		if first == nil {
			first = broker.ErrUnknown
		}
		return failed(exitTemporary, fmt.Errorf("%s: %w", said, first), "the queue may be full or the connection was lost: try again")
	case errors.Is(sent, context.Canceled):
		return failed(exitError, fmt.Errorf("interrupted after %d", p.Confirmed), "what was confirmed is in the queue")
	}
	return sent
}
