package treeview

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/supervisor"
)

// consumer says how the consumer of a router is, and by what that is known.
func (w *why) consumer(n *supervisor.Node) {
	c := n.Consumer
	if c == nil {
		return
	}
	if c.State == "blocked" {
		w.say("The broker takes no publications since %s: %s. Tasks run on; the copies of retries and dead letters wait for it and keep their room.",
			age(w.now.Sub(c.Since)), c.Cause)
	}
	if n.LastError != "" && n.LastError != c.Cause && c.State == "consuming" {
		w.say("It cannot publish what is to be tried again, or is a dead letter: %s. The originals stay unsettled, and it tries again by itself.", w.reason(n))
	}
	if c.Old > 0 {
		w.say("%s for more than half of the broker's ack timeout, the oldest since %s. They are kept apart; at the limit the broker gives them to somebody else.",
			count(c.Old, "delivery has been unsettled", "deliveries have been unsettled"), age(w.now.Sub(c.Oldest)))
	}
	if evidence := w.evidence(c); evidence != "" {
		w.say("%s", evidence)
	}
}

// evidence is what speaks for a consumer that should work.
func (w *why) evidence(c *supervisor.Consumer) string {
	var parts []string
	if c.Tag != "" {
		parts = append(parts, "its consumer is "+c.Tag)
	}
	if !c.LastDelivery.IsZero() {
		parts = append(parts, "the last delivery came "+ago(c.LastDelivery, w.now))
	}
	if !c.LastProbe.IsZero() && !c.Starved && !outdated(c) {
		parts = append(parts, fmt.Sprintf("the broker was asked %s: %s", ago(c.LastProbe, w.now), c.Probe))
	}
	if len(parts) == 0 {
		return ""
	}
	text := strings.Join(parts, "; ")
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// connecting is the sentence about a node that waits for the broker, or for a worker.
func (w *why) connecting(n *supervisor.Node) {
	if n.Kind == "router" && bare(n) {
		w.say("%s takes nothing%s: it begins when a worker of its pool is up.", n.ID, w.lasting(n))
		return
	}
	switch b := w.session(n); {
	case w.lostConsumer(n):
	case n.Kind == "router" && b != nil && b.State == "connected":
		w.say("%s has no consumer yet%s: the broker has not answered the subscription. A quorum queue gives no answer while it has no leader; `rabbitmq-queues quorum_status` tells.",
			n.ID, w.lasting(n))
	default:
		w.say("%s has no connection%s%s.%s", n.ID, w.lasting(n), w.because(n), w.redial(n))
	}
}

// lostConsumer is the sentence about a consumer that the broker or we have ended, if n
// has such a one: the session lives.
func (w *why) lostConsumer(n *supervisor.Node) bool {
	c := n.Consumer
	if c == nil || c.Cause == "" {
		return false
	}
	if b := w.session(n); c.State == "connecting" && (b == nil || b.State != "connected") {
		return false
	}
	w.say("%s has no consumer since %s: %s. %s", n.ID, age(w.now.Sub(c.Since)), c.Cause, w.again(c))
	return true
}

// again says when the next attempt is.
func (w *why) again(c *supervisor.Consumer) string {
	switch {
	case c == nil:
		return "It tries again by itself."
	case c.NextTry.After(w.now):
		return "It tries again by itself in " + age(c.NextTry.Sub(w.now)) + "."
	}
	return "It tries again by itself now."
}

// redial says when the broker is dialled next.
func (w *why) redial(n *supervisor.Node) string {
	if n.Kind != "broker" || n.Until == nil || !n.Until.After(w.now) {
		return ""
	}
	return " It is dialled again in " + age(n.Until.Sub(w.now)) + "."
}

func ago(t, now time.Time) string { return age(now.Sub(t)) + " ago" }

// consumption is the consumer in a cell: its state and when it got something last.
func consumption(n *supervisor.Node, now time.Time) string {
	c := n.Consumer
	if c == nil {
		return "-"
	}
	text := clean(c.State)
	if c.Starved {
		text += " starved"
	}
	if !c.LastDelivery.IsZero() {
		text += ", last " + age(now.Sub(c.LastDelivery))
	}
	return text
}

// consumer appends what Inspect says of the consumer of a router.
func consumer(b *strings.Builder, c *supervisor.Consumer, now time.Time) {
	if c == nil {
		return
	}
	b.WriteString("\nconsumer\n")
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	field := func(name, text string) {
		if text != "" {
			fmt.Fprintf(w, "  %s\t%s\n", name, text)
		}
	}
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return moment(&t, now)
	}
	field("state", clean(c.State))
	field("since", at(c.Since))
	field("tag", clean(c.Tag))
	field("last delivery", at(c.LastDelivery))
	field("last probe", at(c.LastProbe))
	field("probe", clean(c.Probe))
	if c.Starved {
		field("starved", "true")
	}
	field("cause", clean(c.Cause))
	field("fault", clean(c.Fault))
	field("next try", at(c.NextTry))
	if c.Old > 0 {
		field("old deliveries", fmt.Sprintf("%d, the oldest since %s", c.Old, at(c.Oldest)))
	}
	if c.Isolated > 0 {
		field("kept apart", count(c.Isolated, "consumer", "consumers"))
	}
	_ = w.Flush() // into memory
}

// outdated says that what the broker was last asked was about the consumer before.
func outdated(c *supervisor.Consumer) bool {
	return c != nil && c.State == "consuming" && !c.LastProbe.IsZero() && c.LastProbe.Before(c.Since)
}

// session is the node of the session with the broker: each copy has its own.
func (w *why) session(n *supervisor.Node) *supervisor.Node {
	if _, number := control.CutCopy(n.ID); number > 0 {
		return Find(w.root, control.At("broker", number))
	}
	return Find(w.root, "broker")
}
