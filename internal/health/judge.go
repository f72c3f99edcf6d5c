package health

import (
	"fmt"
	"sync"
	"time"

	"github.com/magne-actors/magne-actors/actors"
	"github.com/magne-actors/magne-actors/supervisor"
)

const (
	// stallTime is how long messages must have waited, with room for them and
	// none delivered, before the broker is no longer believed to deliver.
	stallTime = 2 * time.Second
	// stallAnswers is how often the broker must have been asked meanwhile, so that
	// two messages with nothing between them are not one that waits.
	stallAnswers = 3
	// stallGap is the time between two answers after which they say nothing about
	// what was between them.
	stallGap = time.Minute
	// copiesTime is how long a full pool in which nothing runs may wait for the broker
	// to confirm a copy. The runtime replaces a channel that confirms nothing after 30 s.
	copiesTime = 10 * time.Second
	// bareTime is how long a pool may be without a consumer, after an error, when the
	// broker says that its queue is empty: it says so of one without a leader, too.
	bareTime = 15 * time.Second
	// oldAnswer is the age at which an answer says nothing any more.
	oldAnswer = 30 * time.Second
)

// Input is what a Report is made of.
type Input struct {
	Now    time.Time
	Tree   *supervisor.Node // nil: not there yet
	Pools  []actors.PoolStats
	Answer Answer // of the broker
}

// Judge makes reports. It remembers of each pool since when it may have stalled.
// The zero value is ready for use, by several goroutines.
type Judge struct {
	mu     sync.Mutex
	stalls map[string]stall
}

// Judge reports whether the instance is ready. It does not block.
func (j *Judge) Judge(in Input) Report {
	j.mu.Lock()
	defer j.mu.Unlock()
	report, next := judge(in, j.stalls)
	j.stalls = next
	return report
}

// stall is how long a pool has got nothing although it should have.
type stall struct {
	delivered int64     // when it began
	since     time.Time // of the first answer
	last      time.Time // of the newest one
	answers   int
}

// judge is pure; stalls are by pool.
func judge(in Input, stalls map[string]stall) (Report, map[string]stall) {
	r := Report{Reasons: []string{}, Pools: []Pool{}}
	nodes := index(in.Tree)
	r.Reasons = append(r.Reasons, aboutTree(in.Tree, nodes)...)
	switch age := in.Now.Sub(in.Answer.At); {
	case in.Answer.Err != nil:
		r.Unasked = fmt.Sprintf("the broker cannot be asked what waits in the queues: %v", in.Answer.Err)
	case in.Answer.At.IsZero():
		r.Unasked = "the broker has not been asked yet what waits in the queues"
	case age > oldAnswer:
		r.Unasked = fmt.Sprintf("the broker was last asked what waits in the queues %v ago", age.Round(time.Second))
		in.Answer.Queues = nil
	}
	next := make(map[string]stall, len(in.Pools))
	for i := range in.Pools {
		s := &in.Pools[i]
		q, known := in.Answer.Queues[s.Queue]
		known = known && q.Err == nil
		next[s.Pool] = stalls[s.Pool].step(s, q, known, in.Answer.At)
		p := aboutPool(s, nodes["router:"+s.Pool], view{q, known, in.Answer.At, next[s.Pool], in.Now})
		if !p.Ready {
			r.Reasons = append(r.Reasons, "pool "+p.Pool+" "+p.Text)
		}
		r.Pools = append(r.Pools, p)
	}
	r.Ready = len(r.Reasons) == 0
	return r, next
}

// index finds the nodes of a tree by their ids.
func index(n *supervisor.Node) map[string]*supervisor.Node {
	all := map[string]*supervisor.Node{}
	var walk func(*supervisor.Node)
	walk = func(n *supervisor.Node) {
		all[n.ID] = n
		for _, c := range n.Children {
			walk(c)
		}
	}
	if n != nil {
		walk(n)
	}
	return all
}

// aboutTree is what is wrong with the instance as a whole.
func aboutTree(root *supervisor.Node, nodes map[string]*supervisor.Node) []string {
	if root == nil {
		return []string{"the supervision tree is not there yet"}
	}
	var reasons []string
	if root.State != "up" {
		reasons = append(reasons, "the root of the supervision tree is "+root.State)
	}
	if b := nodes["broker"]; b != nil && b.State != "connected" {
		reasons = append(reasons, because("there is no session with the broker, it is "+b.State, b.LastError))
	}
	return reasons
}

// step is the history after one more answer. Nothing is remembered of a pool that
// got something, or has no room, or has nothing to get from a queue that knows it.
// One that says 0 messages and 0 consumers is not believed at once: RabbitMQ says that
// of a quorum queue whose leader has not answered in 250 ms (rabbit_quorum_queue:stat/2).
func (s stall) step(p *actors.PoolStats, q Queue, known bool, at time.Time) stall {
	waits := known && q.Ready > 0 && !q.Shared
	gone := known && q.Ready == 0 && q.Consumers == 0 // of a pool that consumes
	if !waits && !gone || !p.Consuming || p.Paused || p.Suspended {
		return stall{}
	}
	switch {
	case s.answers == 0, s.delivered != p.Delivered, at.Sub(s.last) > stallGap:
		return stall{p.Delivered, at, at, 1}
	case at.After(s.last):
		s.last = at
		s.answers++
	}
	return s
}

func (s stall) stalled() bool { return s.answers >= stallAnswers && s.last.Sub(s.since) >= stallTime }

// view is what the broker says of a pool's queue.
type view struct {
	queue Queue
	known bool
	at    time.Time
	stall stall
	now   time.Time
}

// unconfirmed returns for how long a full pool has waited for the broker to confirm the
// copies of tasks that have ended, while no task runs, if that is too long.
func (v view) unconfirmed(s *actors.PoolStats) (time.Duration, bool) {
	if !s.Paused || s.Copies == 0 || s.Running > 0 || s.Queued > 0 || s.CopiesSince.IsZero() {
		return 0, false
	}
	waited := v.now.Sub(s.CopiesSince)
	return waited.Round(time.Second), waited >= copiesTime
}

// bare reports whether a pool has had no consumer for too long, because of an error.
func (v view) bare(lastError string, since time.Time) bool {
	return lastError != "" && !since.IsZero() && v.now.Sub(since) >= bareTime
}

// aboutPool judges one pool; router is its router's node, or nil.
func aboutPool(s *actors.PoolStats, router *supervisor.Node, v view) Pool {
	p := Pool{Pool: s.Pool, Queue: s.Queue}
	if v.known {
		p.Messages = &v.queue.Ready
	}
	state, lastError, since := "", "", time.Time{}
	if router != nil {
		state, lastError = router.State, router.LastError
		if router.Since != nil {
			since = *router.Since
		}
	}
	p.State, p.Ready, p.Text = decide(s, v, state, lastError, since)
	return p
}

// decide is the order of the questions: who was told to stand still comes before
// who does not move.
func decide(s *actors.PoolStats, v view, intake, lastError string, since time.Time) (state State, ready bool, text string) {
	waited, unconfirmed := v.unconfirmed(s)
	switch {
	case s.Parked:
		return Parked, false, because("was given up and waits for `magne-actors restart`", lastError)
	case intake == "draining":
		return Draining, false, "is draining: the instance stops"
	case s.Suspended:
		return Suspended, true, "is suspended by an operator; `magne-actors resume` ends it"
	case intake == "failed":
		return Failed, false, because(fmt.Sprintf("cannot consume queue %q", s.Queue), lastError)
	case !s.Consuming && v.known && v.queue.Ready == 0 && v.bare(lastError, since):
		return Connecting, false, because(fmt.Sprintf("has had no consumer for %v, and whether its queue %q is empty is not certain", v.now.Sub(since).Round(time.Second), s.Queue), lastError)
	case !s.Consuming && v.known && v.queue.Ready == 0:
		return Connecting, true, because("has no consumer yet, and its queue is empty", lastError)
	case !s.Consuming && v.known:
		return Connecting, false, because(fmt.Sprintf("is not consuming although %d messages wait in queue %q", v.queue.Ready, s.Queue), lastError)
	case !s.Consuming:
		return Connecting, false, because(fmt.Sprintf("is not consuming, and what waits in queue %q is not known", s.Queue), lastError)
	case v.known && v.queue.Consumers == 0 && since.Before(v.at) && (v.queue.Ready > 0 || v.stall.stalled()):
		return Unknown, false, fmt.Sprintf("believes to consume, but the broker knows of no consumer of queue %q", s.Queue)
	case unconfirmed:
		return Unconfirmed, false, because(fmt.Sprintf("is full and runs nothing: %d of its %d in flight are retries and dead letters of which the broker has confirmed none for %v", s.Copies, s.InFlight, waited), lastError)
	case s.Paused:
		return Paused, true, fmt.Sprintf("is paused by its watermark: %d in flight, high %d, resumes at %d", s.InFlight, s.High, s.Low)
	case v.stall.stalled():
		return Stalled, false, fmt.Sprintf("has got nothing for %v although %d messages wait in queue %q and only %d of %d are in flight",
			v.stall.last.Sub(v.stall.since).Round(time.Second), v.queue.Ready, s.Queue, s.InFlight, s.High)
	case s.InFlight == 0 && v.known && v.queue.Ready == 0:
		return Idle, true, "is idle: its queue is empty"
	}
	return Consuming, true, fmt.Sprintf("is consuming, %d in flight", s.InFlight)
}

// because adds the last error to a sentence if there is one.
func because(sentence, lastError string) string {
	if lastError == "" {
		return sentence
	}
	return sentence + ": " + lastError
}
