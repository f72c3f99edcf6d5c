package treeview

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/supervisor"
)

// Why says in plain sentences why the node with that id is as it is: the node
// first, then what it waits for or suffers from, and so on down to a cause that
// has none of its own. It is empty when there is no such node.
func Why(root *supervisor.Node, id string, now time.Time) []string {
	w := why{now: now, root: root, said: map[*supervisor.Node]bool{}}
	if n := Find(root, id); n != nil {
		w.node(n)
	}
	return w.lines
}

// maxCauses is how many of the unhealthy nodes below a node are followed.
const maxCauses = 3

// why collects sentences about nodes, about each once.
type why struct {
	now   time.Time
	root  *supervisor.Node
	said  map[*supervisor.Node]bool
	lines []string
}

func (w *why) say(format string, args ...any) {
	if line := clean(fmt.Sprintf(format, args...)); !slices.Contains(w.lines, line) {
		w.lines = append(w.lines, line)
	}
}

// node explains n, and then what n depends on.
func (w *why) node(n *supervisor.Node) {
	if n == nil || w.said[n] {
		return
	}
	w.said[n] = true
	w.state(n)
	w.ended(n)
	w.consumer(n)
	w.spool(n)
	w.wear(n)
	switch {
	case n.Kind == "router" && bare(n):
		w.node(Find(w.root, "pool:"+poolOf(n)))
	case n.Kind == "router" && (n.State == "connecting" || n.State == "starting"):
		w.unwell(w.session(n))
	case n.State == "paused":
		w.workers(n)
	case n.State == "suspended" && !byOperator(n):
		w.node(Find(w.root, "pool:"+poolOf(n)))
	case n.State == "down" || n.State == "stopping" || n.State == "failed" && parked(w.parent(n)):
		w.above(n)
	case isPool(n):
		for _, c := range n.Children {
			w.node(c)
		}
	case isWorker(n) && control.StateHealth(n.State) == control.Healthy && value(n.Running) == 0:
		w.node(w.router(n))
	}
	w.below(n)
}

// state is the sentence that the state word stands for.
func (w *why) state(n *supervisor.Node) {
	switch n.State {
	case "failed":
		w.failed(n)
	case "backoff":
		next := "is restarted soon"
		if n.Until != nil {
			next = "is started again in " + age(n.Until.Sub(w.now))
		}
		w.say("%s is in backoff%s: it ended with %s, and %s (restarts so far: %d).", n.ID, w.lasting(n), w.reason(n), next, value(n.Restarts))
	case "paused":
		w.say("%s is paused%s: %d of %d deliveries in flight (high), it resumes at %d; %d run and %d wait.",
			n.ID, w.lasting(n), value(n.InFlight), value(n.High), value(n.Low), value(n.Running), value(n.Queued))
	case "suspended":
		w.suspended(n)
	case "connecting":
		w.connecting(n)
	case "starting":
		step := ""
		if n.Step != "" {
			step = ": its process says that it is at " + strconv.Quote(n.Step)
		}
		w.say("%s is starting%s%s%s.", n.ID, w.lasting(n), step, w.before(n))
	case "stopping", "draining":
		w.say("%s is stopping%s: it takes nothing new and what runs may finish.", n.ID, w.lasting(n))
	case "abandoned":
		w.say("%s is abandoned%s: it did not stop in its time and may still run; only the end of the process is sure to end it.", n.ID, w.lasting(n))
	case "down":
		w.say("%s is down%s%s.", n.ID, w.lasting(n), w.before(n))
	default:
		w.well(n)
	}
}

// well is the sentence about a node that works, or whose state word is new.
func (w *why) well(n *supervisor.Node) {
	switch {
	case n.Kind == "router" && n.Consumer != nil && n.Consumer.Starved:
		w.say("%s is %s%s but starved: %s.", n.ID, n.State, w.lasting(n), n.Consumer.Probe)
	case n.Kind == "router" && value(n.InFlight) == 0 && outdated(n.Consumer):
		w.say("%s is %s%s and has got nothing yet.", n.ID, n.State, w.lasting(n))
	case n.Kind == "router" && value(n.InFlight) == 0:
		w.say("%s is %s%s and has nothing in flight: the broker has no message for it now.", n.ID, n.State, w.lasting(n))
	case n.Kind == "router":
		w.say("%s is %s%s: %d of %d deliveries in flight (high); %d run and %d wait.",
			n.ID, n.State, w.lasting(n), value(n.InFlight), value(n.High), value(n.Running), value(n.Queued))
	case n.Running != nil && value(n.Running) == 0:
		w.say("%s is %s%s and idle: no task is assigned to it.", n.ID, n.State, w.lasting(n))
	case n.Running != nil:
		w.say("%s is %s%s and %s: %d run and %d wait.", n.ID, n.State, w.lasting(n), w.busy(n), value(n.Running), value(n.Queued))
	case n.Kind == "broker" && n.Detail != "":
		address, _, _ := strings.Cut(n.Detail, " ")
		w.say("%s is %s to %s%s%s.", n.ID, n.State, address, w.lasting(n), w.before(n))
	case n.Kind == "pool":
		w.say("%s is %s%s%s%s.", n.ID, n.State, w.lasting(n), crew(n), w.before(n))
	default:
		w.say("%s is %s%s%s.", n.ID, n.State, w.lasting(n), w.before(n))
	}
	if _, reason, blocked := strings.Cut(n.Detail, "blocked: "); blocked && n.Kind == "broker" {
		w.say("It takes no publications from us: %s.", reason)
	}
}

// busy names the task of a worker process; its detail is "busy NAME PROGRESS".
func (w *why) busy(n *supervisor.Node) string {
	what, ok := strings.CutPrefix(n.Detail, "busy ")
	if !ok {
		return "busy"
	}
	if n.TaskSince != nil {
		what += ", for " + since(n.TaskSince, w.now)
	}
	return "busy with " + what
}

// suspended is the sentence about a router that takes nothing, whatever its
// watermarks say.
func (w *why) suspended(n *supervisor.Node) {
	pool := poolOf(n)
	running := fmt.Sprintf("%d run, and nothing new is taken", value(n.Running))
	if byOperator(n) {
		w.say("%s is paused by an operator%s: %s until `magne-actors resume %s`.", n.ID, w.lasting(n), running, pool)
		return
	}
	w.say("%s takes nothing%s because its pool is parked: %s.", n.ID, w.lasting(n), running)
}

// byOperator tells what an operator has paused from what nobody serves.
func byOperator(n *supervisor.Node) bool { return !strings.Contains(n.Detail, "parked") }

// bare tells a router whose pool has had no worker yet.
func bare(n *supervisor.Node) bool { return strings.HasSuffix(n.Detail, "until a worker is up") }

// isPool tells the supervisor of a whole pool: it has the name that people know.
func isPool(n *supervisor.Node) bool {
	return n.Kind == "sup" && slices.ContainsFunc(n.Children, func(c *supervisor.Node) bool { return c.Kind == "router" })
}

func parked(n *supervisor.Node) bool { return n != nil && n.State == "failed" && n.Detail == "parked" }

// poolOf is the name of a router's pool.
func poolOf(router *supervisor.Node) string { return strings.TrimPrefix(router.ID, "router:") }

func isWorker(n *supervisor.Node) bool { return n.Kind == "worker" || n.Kind == "slot" }

// processes says what became of the process before.
func (w *why) processes(n *supervisor.Node) {
	switch {
	case n.LastExit == "" || w.repeats(n.LastExit):
	case n.PID != nil:
		w.say("The process before this one of %s: %s.", n.ID, n.LastExit)
	default:
		w.say("The last process of %s: %s.", n.ID, n.LastExit)
	}
}

// crew is how many of a pool's workers are up; the detail is "2/3", or with a size
// that follows the load "2/3 (2..8)".
func crew(pool *supervisor.Node) string {
	counts, bounds, follows := strings.Cut(pool.Detail, " ")
	up, of, ok := strings.Cut(counts, "/")
	if !ok {
		return ""
	}
	text := " with " + up + " of " + of + " workers up"
	if least, most, ok := strings.Cut(strings.Trim(bounds, "()"), ".."); follows && ok {
		text += ", a number that follows the load from " + least + " to " + most
	}
	return text
}

// failures says which of the children of a supervisor have failed how often.
func (w *why) failures(n *supervisor.Node) {
	list := slices.DeleteFunc(slices.Clone(n.Children), func(c *supervisor.Node) bool { return value(c.Failures) == 0 })
	slices.SortStableFunc(list, func(a, b *supervisor.Node) int { return int(value(b.Failures) - value(a.Failures)) })
	var parts []string
	for _, c := range list[:min(len(list), maxCauses)] {
		parts = append(parts, fmt.Sprintf("%s %s", c.ID, count(value(c.Failures), "time", "times")))
	}
	if len(parts) > 0 {
		w.say("Since the start these have failed most: %s.", strings.Join(parts, ", "))
	}
}

func (w *why) failed(n *supervisor.Node) {
	switch {
	case parked(n):
		w.say("%s is parked%s: %s. Its siblings run on; `magne-actors restart %s` starts it again.", n.ID, w.lasting(n), w.reason(n), n.ID)
		w.failures(n)
		for _, c := range Flat(n)[1:] {
			w.said[c] = true // they are down because of it
		}
	case n.Kind == "router" && value(n.High) > 0:
		w.say("%s cannot consume%s: %s. %s", n.ID, w.lasting(n), w.reason(n), w.again(n.Consumer))
	default:
		w.say("%s has failed%s: %s.", n.ID, w.lasting(n), w.reason(n))
	}
}

// wear says what is wrong with a node whatever its state.
func (w *why) wear(n *supervisor.Node) {
	if a := value(n.Abandoned); a > 0 && n.State != "abandoned" {
		w.say("%s: %s after the timeout and may still run.", n.ID, count(a, "goroutine was given up", "goroutines were given up"))
	}
	if n.BusySince != nil && w.now.Sub(*n.BusySince) >= time.Second {
		w.say("The actor of %s has been in one message for %s, and %d wait in its mailbox.", n.ID, since(n.BusySince, w.now), value(n.Mailbox))
	}
	w.quarantine(n)
	w.processes(n)
	if n.LogDropped > 0 {
		w.say("The log of %s lacks %s: its process writes more than logs.rate of its pool.", n.ID, count(n.LogDropped, "line", "lines"))
	}
	if win := n.Window; win != nil && win.Restarts > 0 && !parked(n) {
		w.say("%s has restarted children %s within %s; at more than %d it gives up.", n.ID, count(win.Restarts, "time", "times"), age(win.Period), win.Intensity)
	}
}

// workers says how the workers of a router's pool are, and follows those that are
// not well.
func (w *why) workers(router *supervisor.Node) {
	parent := w.parent(router)
	if parent == nil {
		return
	}
	all := slices.DeleteFunc(Flat(parent), func(n *supervisor.Node) bool { return !isWorker(n) })
	busy := 0
	for _, n := range all {
		if value(n.Running) > 0 {
			busy++
		}
	}
	w.crew(busy, len(all))
	w.outOfWork(all)
	for _, c := range parent.Children {
		if c != router {
			w.unwell(c)
			w.below(c)
		}
	}
}

// crew is how many of the workers of a pool have something to do.
func (w *why) crew(busy, all int) {
	switch {
	case all == 0: // its supervisor says why
	case all == 1 && busy == 1:
		w.say("Its only worker is busy.")
	case all == 1:
		w.say("Its only worker runs nothing.")
	case busy == 1:
		w.say("1 of its %d workers runs tasks.", all)
	default:
		w.say("%d of its %d workers run tasks.", busy, all)
	}
}

// outOfWork says how many of the workers are not well, by what they suffer from.
func (w *why) outOfWork(workers []*supervisor.Node) {
	var order []string
	n := map[string]int{}
	for _, c := range workers {
		if control.StateHealth(c.State) == control.Healthy {
			continue
		}
		what := c.State
		if c.State == "backoff" {
			what = "in backoff after " + w.reason(c)
		}
		if n[what]++; n[what] == 1 {
			order = append(order, what)
		}
	}
	for _, what := range order {
		verb := "are"
		if n[what] == 1 {
			verb = "is"
		}
		w.say("%d of %d %s %s.", n[what], len(workers), verb, what)
	}
}

// below follows the nodes below n that are not healthy, nearest first.
func (w *why) below(n *supervisor.Node) {
	var sick []*supervisor.Node
	for _, c := range Flat(n)[1:] {
		if control.NodeHealth(c) != control.Healthy && !w.said[c] {
			sick = append(sick, c)
		}
	}
	if len(sick) == 0 {
		return
	}
	slices.SortStableFunc(sick, func(a, b *supervisor.Node) int { return rank(a) - rank(b) })
	if len(sick) > 1 {
		w.say("Below %s %d nodes are not healthy: %s.", n.ID, len(sick), states(sick))
	}
	followed := 0
	for _, c := range sick {
		if followed < maxCauses && !w.said[c] { // a parked pool has said it of its children
			w.node(c)
			followed++
		}
	}
}

// rank puts what explains the others first.
func rank(n *supervisor.Node) int {
	return slices.Index([]string{"failed", "abandoned", "backoff", "connecting", "starting"}, n.State) & 7 // unknown: last
}

// above follows what makes a child go down: the supervisor that is not up itself.
func (w *why) above(n *supervisor.Node) {
	p := w.parent(n)
	if p == nil {
		return
	}
	if control.StateHealth(p.State) == control.Healthy {
		w.say("Its supervisor %s is %s: it ended by itself or was stopped, and is not restarted before `magne-actors restart %s`.", p.ID, p.State, n.ID)
		return
	}
	w.node(p)
}

// unwell explains n if it is not healthy.
func (w *why) unwell(n *supervisor.Node) {
	if n != nil && control.NodeHealth(n) != control.Healthy {
		w.node(n)
	}
}

// router is the router of a worker's pool: the nearest one beside an ancestor.
func (w *why) router(n *supervisor.Node) *supervisor.Node {
	for p := w.parent(n); p != nil && p.Kind != "root"; p = w.parent(p) {
		for _, c := range p.Children {
			if c.Kind == "router" {
				return c
			}
		}
	}
	return nil
}

func (w *why) parent(n *supervisor.Node) *supervisor.Node {
	for _, p := range Flat(w.root) {
		if slices.Contains(p.Children, n) {
			return p
		}
	}
	return nil
}

// lasting is how long the state has lasted.
func (w *why) lasting(n *supervisor.Node) string {
	if n.Since == nil {
		return ""
	}
	return " since " + since(n.Since, w.now)
}
