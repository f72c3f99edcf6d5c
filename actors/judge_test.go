package actors

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/osproc"
	"github.com/magne-actors/magne-actors/supervisor/process"
)

func TestJudgeOfLostWorkers(t *testing.T) {
	p := &pool{Pool: Pool{Retry: Retry{MaxAttempts: 2}, Process: &process.Options{MaxLost: 2}}}
	p.latest.Store(p.Process)
	died := &process.LostError{Why: process.WhyExit}
	late := &process.LostError{Why: process.WhyTimeout}
	beside := &process.LostError{Why: process.WhyExit, Company: 3}
	for _, c := range []struct {
		name    string
		err     error
		cause   error
		headers map[string]any
		want    string
	}{
		{name: "first death", err: died, want: "retry attempt 1 lost 1 autopsy free"},
		{name: "last death", err: died, headers: map[string]any{headerLost: int64(1)}, want: "dead worker_lost attempt 1 lost 2 autopsy free"},
		{name: "death in the last attempt", err: died, headers: map[string]any{headerAttempt: int64(2)}, want: "retry attempt 2 lost 1 autopsy free"},
		{name: "last death in company, where nobody is ever alone", err: beside, headers: map[string]any{headerLost: int64(1)}, want: "dead worker_lost attempt 1 lost 2 autopsy free"},
		{name: "wrapped", err: fmt.Errorf("x: %w", died), want: "retry attempt 1 lost 1 autopsy free"},
		{name: "neighbour", err: &process.LostError{Why: process.WhyNeighbour}, want: "retry attempt 1 lost 0 autopsy free"},
		{name: "killed by an operator in the last attempt", err: &process.LostError{Why: process.WhyOperator}, headers: map[string]any{headerAttempt: int64(2)}, want: "retry attempt 2 lost 0 autopsy free"},
		{name: "timeout", err: late, want: "retry attempt 1 lost 0 autopsy"},
		{name: "last timeout", err: late, headers: map[string]any{headerAttempt: int64(2)}, want: "dead timeout attempt 2 lost 0 autopsy"},
		{name: "killed at shutdown", err: died, cause: ErrShutdown, want: "requeue attempt 1 lost 0"},
		{name: "killed because it was cancelled", err: died, cause: ErrCancelled, want: "dead cancelled attempt 1 lost 0"},
		{name: "not started", err: process.ErrNotStarted, want: "again attempt 1 lost 0"},
		{name: "cannot be started", err: fmt.Errorf("x: %w", process.ErrCannotStart), want: "again attempt 1 lost 0 crash"},
		{name: "cannot be started at shutdown", err: process.ErrCannotStart, cause: ErrShutdown, want: "requeue attempt 1 lost 0"},
		{name: "not started at shutdown", err: process.ErrNotStarted, cause: ErrAborted, want: "requeue attempt 1 lost 0"},
	} {
		f := &flight{delivery: &broker.Delivery{Properties: broker.Properties{Headers: c.headers}}}
		if got := words(p.judge(f, c.err, c.cause)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestADeathInCompanyConvictsNobody: where suspects run alone, a task is dead-lettered
// for a death only if nothing else ran in that worker.
func TestADeathInCompanyConvictsNobody(t *testing.T) {
	p := &pool{Pool: Pool{Mode: Process, Retry: Retry{MaxAttempts: 2}, Process: &process.Options{MaxLost: 1, Concurrency: 8}}}
	p.latest.Store(p.Process)
	for _, c := range []struct {
		name    string
		company int
		policy  Retry
		slots   int
		want    string
	}{
		{name: "in company", company: 7, want: "retry attempt 1 lost 1 autopsy free"},
		{name: "alone", want: "dead worker_lost attempt 1 lost 1 autopsy free"},
		{name: "in company, without quarantine", company: 7, slots: -1, want: "dead worker_lost attempt 1 lost 1 autopsy free"},
		{name: "in company, to be run once at most", company: 7, policy: Retry{DiscardOn: []string{"worker_lost"}}, want: "dead worker_lost attempt 1 lost 1 autopsy free"},
	} {
		p.Retry, p.Quarantine.Slots = c.policy, c.slots
		f := &flight{delivery: &broker.Delivery{}}
		if got := words(p.judge(f, &process.LostError{Why: process.WhyExit, Company: c.company}, nil)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func words(v verdict) string {
	action := map[action]string{ackIt: "ack", requeueIt: "requeue", retryIt: "retry", deadLetterIt: "dead " + v.reason, againIt: "again"}[v.action]
	s := fmt.Sprintf("%s attempt %d lost %d", action, v.attempt, v.lost)
	if v.autopsy != "" {
		s += " autopsy"
	}
	if v.free {
		s += " free"
	}
	if v.crash {
		s += " crash"
	}
	return s
}

// TestALostWorkerIsNoAttempt: the copy has the same attempt number.
func TestALostWorkerIsNoAttempt(t *testing.T) {
	p := &pool{Pool: Pool{Queue: broker.Queue{Name: "q"}}}
	d := &broker.Delivery{Properties: broker.Properties{Headers: map[string]any{headerAttempt: int64(3)}}}
	c := nextAttempt(d, p, &verdict{attempt: 3, lost: 2, free: true, autopsy: "died", err: errors.New("x")}, time.Now())
	if c.Headers[headerAttempt] != int64(3) || c.Headers[headerLost] != int64(2) || c.Headers[headerAutopsy] != "died" {
		t.Errorf("headers %v", c.Headers)
	}
}

// TestAutopsyFits: the header is bounded and says both what happened and how the
// log ended.
func TestAutopsyFits(t *testing.T) {
	e := &process.LostError{Why: process.WhyExit, Err: errors.New(strings.Repeat("long ", 1000))}
	for i := range 500 {
		e.Exit.Tail = append(e.Exit.Tail, osproc.Line{Text: fmt.Sprintf("line %d \xff %s", i, strings.Repeat("é", 20))})
	}
	for _, err := range []error{nil, errors.New("short"), e.Err} {
		e.Err = err
		s := autopsy(e)
		if len(s) > maxAutopsyHeader || !utf8.ValidString(s) || !strings.HasPrefix(s, "the worker was lost (exit)") || !strings.Contains(s, "line 499") {
			t.Errorf("%d bytes: %.60q ... %q", len(s), s, s[max(0, len(s)-60):])
		}
	}
}
