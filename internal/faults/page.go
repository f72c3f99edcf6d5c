package faults

import (
	"fmt"
	"io"
	"strings"
)

const pageHead = `<!-- Made by ` + "`make chaos-docs`" + ` from the last run. Do not edit. -->
# Faults

What magne-actors does when the broker, the network, the rights or the queue fail under it, measured. ` + "`make chaos`" + ` repeats all of it: it starts a RabbitMQ of its own, and for each fault the program ` + "`magne-actors run`" + ` with a pool of two workers, under a steady load of numbered messages that are published with confirms. Tasks are HTTP requests to an endpoint that keeps the books; one of four takes 400 ms, one of eight fails once, one of sixteen is refused and goes to the dead letters.

| column | |
|---|---|
| recovered | from the broker being able again to the first delivery on the wire. Able is when another client, which goes the same way as the same user, can consume. 0.00 is a delivery before that client had its turn |
| limit | 2 s. Where an attempt to connect may just have failed it is the cap of the backoff more (1 s here, ` + "`broker.reconnect.max`" + `), and a peer that vanishes without a word is missed after 1.5 heartbeats (3 s here, ` + "`broker.heartbeat`" + `). When a queue is replaced RabbitMQ 3.10 may forget the consumer without a word and go on to list it as active: it is missed when three answers within 2 s have said that messages wait |
| lost | messages that the broker has confirmed and that were neither executed nor are dead letters. What a fault itself removes, with the queue, is not counted |
| twice | deliveries that were settled a second time on their channel, or on another channel than theirs: read off the wire by a proxy that follows each delivery tag |
| dupl. | executions beyond the first of an attempt, of so many messages. Delivery is at least once: what runs when the connection goes is delivered again |
| /readyz | after how long it failed; - where the pool goes on consuming |

` + "`make soak N=1000000`" + ` puts one instance after the other under a load of some hundred messages a second, while faults that remove no message happen at random, and keeps the same books; it can be ended and goes on from its state file. A lap in which something does not hold keeps the whole log of its instance.

`

// Page writes reports as docs/faults.md.
func Page(w io.Writer, reports ...Report) error {
	var b strings.Builder
	b.WriteString(pageHead)
	for _, rep := range reports {
		rep.section(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// section writes the table of one report and what belongs to it.
func (rep Report) section(b *strings.Builder) {
	fmt.Fprintf(b, "## %s%s\n\n", strings.ToUpper(rep.Broker[:1]), rep.Broker[1:])
	fmt.Fprintf(b, "Run of %s, %s, seed %d; load average of the machine meanwhile %s.\n\n", rep.Began.Format("2006-01-02"), rep.Machine, rep.Seed, rep.Load)
	b.WriteString("| fault | what happens | lasted | recovered | limit | lost | twice | dupl. | /readyz | |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for i := range rep.Rows {
		row := &rep.Rows[i]
		fmt.Fprintf(b, "| `%s` | %s | %.1f s | %s | %.1f s | %d | %d | %d of %d | %s | %s |\n", row.Fault, row.Title, row.Lasted,
			cell(row.Recovery), row.Limit, row.Lost, row.Wire.Twice+row.Wire.Foreign, row.Duplicates, row.Confirmed, cell(row.ReadyzFailed), verdict(row))
	}
	b.WriteString("\nWhat `why` said of the pool while the fault lasted; an event, marked so, where it was over before somebody could ask:\n\n")
	for i := range rep.Rows {
		if row := &rep.Rows[i]; row.Why != "" {
			fmt.Fprintf(b, "* `%s`: %s\n", row.Fault, quote(row.Why))
		}
	}
	b.WriteString("\n")
	rep.failures(b)
}

// failures says what does not hold.
func (rep Report) failures(b *strings.Builder) {
	if len(rep.Failed()) == 0 {
		return
	}
	b.WriteString("What does not hold:\n\n")
	for i := range rep.Rows {
		for _, problem := range rep.Rows[i].Problems {
			fmt.Fprintf(b, "* `%s`: %s\n", rep.Rows[i].Fault, quote(problem))
		}
	}
	b.WriteString("\n")
}

func verdict(row *Row) string {
	if row.Pass() {
		return "holds"
	}
	return "**fails**"
}

func cell(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f s", *v)
}

// maxQuote is how much of a text a list takes.
const maxQuote = 400

// quote makes a text one line of Markdown in which nothing has a meaning.
func quote(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxQuote {
		text = strings.ToValidUTF8(text[:maxQuote], "") + "..."
	}
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`, "_", `\_`).Replace(text)
}
