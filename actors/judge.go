package actors

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"strings"

	"github.com/magne-actors/magne-actors/internal/restart"
	"github.com/magne-actors/magne-actors/supervisor/process"
)

// defaultMaxLost is after how many lost workers a task is dead-lettered.
const defaultMaxLost = 3

// maxBounces is how often a flight is given to another worker of this pool before
// it goes back to the queue.
const maxBounces = 16

// judge decides what becomes of a flight whose run ended with err; cause is that
// of its context, if that is done.
func (p *pool) judge(f *flight, err, cause error) verdict {
	if err == nil { // the usual case looks at no policy
		return verdict{action: ackIt, attempt: attemptOf(f.delivery)}
	}
	before := pastOf(f.delivery)
	if errors.Is(err, process.ErrNotStarted) && cause == nil {
		return verdict{action: againIt, attempt: before.attempt, err: err, crash: errors.Is(err, process.ErrCannotStart)}
	}
	policy := p.policyFor(f)
	v := judge(policy, before, err, cause, rand.Float64())
	if policy != &p.Retry {
		v.task = f.message.Name
	}
	lost, ok := errors.AsType[*process.LostError](err)
	if !ok || v.action == requeueIt || v.reason == reasonCancelled {
		return v
	}
	v.autopsy = autopsy(lost)
	switch lost.Why {
	case process.WhyTimeout:
		return v // a failed attempt like any other
	case process.WhyNeighbour, process.WhyOperator, process.WhyShutdown:
		// Not its doing: it is run again as if it had not been run.
		v.action, v.reason, v.after, v.free = retryIt, "", 0, true
		return v
	}
	return p.judgeLost(v, policy, before.lost+1, lost.Company > 0 && p.quarantines())
}

// judgeLost decides about a task under which n workers have died by now. It may
// have killed them or have been there by chance: a death is no attempt, but there
// is a limit to them. Where suspects run alone, a death with others about convicts
// nobody; the next one has no others.
func (p *pool) judgeLost(v verdict, policy *Retry, n int, inCompany bool) verdict {
	v.lost, v.free = n, true
	most := defaultMaxLost
	if o := p.latest.Load(); o != nil {
		most = cmp.Or(o.MaxLost, most)
	}
	if n >= most && !inCompany || matches(policy.DiscardOn, v.kind) {
		v.action, v.reason = deadLetterIt, reasonLost
		return v
	}
	v.action, v.reason, v.after = retryIt, "", restart.Backoff(policy.Backoff).Delay(n, rand.Float64())
	return v
}

// autopsy is what a dead letter says of the worker's end: what happened, and the
// end of the log.
func autopsy(e *process.LostError) string {
	head, log := e.Error(), strings.Builder{}
	for _, line := range e.Exit.Tail {
		log.WriteString("\n" + line.Stream.String() + ": " + line.Text)
	}
	const dots = "\n..."
	head = strings.ToValidUTF8(head[:min(len(head), maxAutopsyHeader/2)], "")
	tail := strings.ToValidUTF8(log.String(), "")
	if room := maxAutopsyHeader - len(head); len(tail) > room {
		tail = dots + strings.ToValidUTF8(tail[len(tail)-room+len(dots):], "")
	}
	return head + tail
}
