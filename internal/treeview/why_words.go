package treeview

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/magne-actors/magne-actors/supervisor"
)

// above stands for an error that has been said.
const above = "the error above"

// because is the last error as the reason of what is said.
func (w *why) because(n *supervisor.Node) string {
	if n.LastError == "" {
		return ""
	}
	return ": " + w.reason(n)
}

// before is the last error as something that is over.
func (w *why) before(n *supervisor.Node) string {
	if n.LastError == "" {
		return ""
	}
	if text := w.reason(n); text != above {
		return "; its last error was " + text
	}
	return "; its last error was the one above"
}

// reason is the last error, unless it has been said: siblings mostly fail alike, and
// a supervisor gives up with the words of its child.
func (w *why) reason(n *supervisor.Node) string {
	text := strings.TrimPrefix(n.LastError, "supervisor: "+n.ID+" gave up: ")
	switch {
	case text == "":
		return "no error"
	case w.repeats(text):
		return above
	}
	return text
}

// short is a text that is easier read twice than looked up.
const short = 24

// repeats reports whether a text was said, but for how long it took.
func (w *why) repeats(text string) bool {
	text = timeless(clean(text))
	return len(text) > short && strings.Contains(timeless(strings.Join(w.lines, "\n")), text)
}

var durations = regexp.MustCompile(`\b[0-9][0-9.]*(ns|µs|ms|s|m|h)\b`)

// timeless is a text without its durations.
func timeless(text string) string { return durations.ReplaceAllString(text, "") }

// states is how many nodes are in which state, in the order of the nodes.
func states(nodes []*supervisor.Node) string {
	var words []string
	n := map[string]int64{}
	for _, c := range nodes {
		if n[c.State]++; n[c.State] == 1 {
			words = append(words, c.State)
		}
	}
	for i, word := range words {
		words[i] = fmt.Sprintf("%d %s", n[word], word)
	}
	return strings.Join(words, ", ")
}

func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func value(p *int64) int64 {
	if p == nil {
		return 0
	}
	return *p
}

// quarantine says what a node has to do with suspects: of a slot which one it runs,
// of a router how many there are, and then of its slots.
func (w *why) quarantine(n *supervisor.Node) {
	q := n.Quarantine
	switch {
	case q == nil:
	case q.Lost > 0:
		times := "once"
		if q.Lost > 1 {
			times = count(int64(q.Lost), "time", "times")
		}
		w.say("%s runs task %s alone: its worker died %s. It gets other tasks when this one has ended.", n.ID, cmp.Or(n.Task, "without id"), times)
	case q.Kept:
		w.say("%s gets no new tasks: when it has ended what it has, a suspect runs there alone, a task whose worker has died.", n.ID)
	default:
		if q.Waiting > 0 {
			w.say("%s to run alone, for a worker has died under each of them.", count(q.Waiting, "task waits", "tasks wait"))
		}
		slots := slices.DeleteFunc(Flat(w.parent(n)), func(c *supervisor.Node) bool { return !isWorker(c) || c.Quarantine == nil })
		for _, c := range slots[:min(len(slots), maxCauses)] {
			w.quarantine(c)
		}
	}
}

// spool says what waits on the disk for the broker, on the node that has it and on the
// routers whose copies are there.
func (w *why) spool(n *supervisor.Node) {
	if n.Kind == "router" {
		n = w.session(n)
	}
	if n == nil || n.Spool == nil || n.Spool.Messages == 0 {
		return
	}
	s, since := n.Spool, ""
	if s.Oldest != nil {
		since = ", the oldest for " + age(w.now.Sub(*s.Oldest))
	}
	text := count(int64(s.Messages), "message waits", "messages wait") + " in the spool on the disk" + since
	if s.Retrying > 0 {
		text += fmt.Sprintf("; the broker has refused or returned %d of them", s.Retrying)
	}
	if s.LastError != "" {
		text += ": " + s.LastError
	}
	w.say("%s. The broker gets them when it takes them.", text)
}

// ended says of a router with deliveries and without a task that runs or waits for a
// worker what it waits for: a broker that confirms no copy fills a pool so.
func (w *why) ended(router *supervisor.Node) {
	if router.Kind != "router" || value(router.InFlight) == 0 || value(router.Running)+value(router.Queued) > 0 {
		return
	}
	if c := router.Consumer; c != nil && (c.State == "blocked" || router.LastError != "") || router.State != "paused" && router.State != "consuming" {
		return // that is said of it already
	}
	for _, n := range Flat(w.parent(router)) {
		if isWorker(n) && value(n.Running)+value(n.Queued) > 0 {
			return
		}
	}
	w.say("No task runs: those of its %s have ended. They wait for a retry, or for the broker to confirm the copies that become retries and dead letters; "+
		"when that lasts, is the queue of the dead letters full, or without a leader?",
		count(value(router.InFlight), "delivery", "deliveries"))
}
