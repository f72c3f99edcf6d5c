package publisher

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/restart"
)

// epoch is the first moment of these tests.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// answers are the errors that the tests name.
var answers = map[string]error{
	"ok": nil, "returned": broker.ErrUnroutable, "refused": broker.ErrRefused, "unknown": broker.ErrUnknown, "invalid": broker.ErrInvalid,
	"forbidden": fmt.Errorf("%w: %w", broker.ErrRefused, broker.ErrForbidden), "unreachable": broker.ErrUnreachable, "interrupted": errors.New("interrupted"),
	"full": errors.New("full"),
}

// desk is a book with names for its publications.
type desk struct {
	*book
	now   time.Time
	names map[string]*entry
}

func newDesk(s settings) *desk {
	s.backoff = restart.Backoff{Initial: 100 * time.Millisecond, Max: 30 * time.Second, ResetAfter: resetAfter}
	s.spoolAfter, s.random = DefaultSpoolAfter, func() float64 { return 0.5 }
	return &desk{newBook(s), epoch, map[string]*entry{}}
}

func (d *desk) nameOf(e *entry) string {
	for name, other := range d.names {
		if other == e {
			return name
		}
	}
	return "?"
}

// do is one line of a test: what happens, to which publication, how.
func (d *desk) do(line string) {
	words := append(strings.Fields(line), "", "")
	e, err := d.names[words[1]], answers[words[len(words)-3]]
	switch words[0] {
	case "add", "add-delayed":
		e = &entry{receipt: &Receipt{}}
		if words[0] == "add-delayed" {
			e.delayed = "work"
		}
		d.names[words[1]] = e
		d.add(e, d.now)
	case "cancel":
		d.cancel(e, errors.New("its time is over"))
	case "dialed":
		d.dialed(err, d.now)
	case "ended":
		d.ended(err, d.now)
	case "fed":
		d.fed(d.offer(d.now))
	case "sent":
		d.sent(e, err, d.now)
	case "heard":
		d.heard(e, err, d.now)
	case "kept":
		d.kept(e, err, d.now)
	case "block":
		d.block("low on memory", d.now)
	case "unblock":
		d.block("", time.Time{})
	case "after":
		wait, _ := time.ParseDuration(words[1])
		d.now = d.now.Add(wait)
		d.tick(d.now)
	case "close":
		d.close()
	case "expire":
		d.expire(d.now)
	default:
		panic("what is " + line)
	}
}

// said takes the orders, and what is next.
func (d *desk) said() string {
	var out []string
	for _, o := range d.orders {
		switch o.kind {
		case orderAnswer:
			out = append(out, fmt.Sprintf("answer %s: %v, %v", d.nameOf(o.e), o.outcome, o.err))
		case orderPut:
			out = append(out, "spool "+d.nameOf(o.e))
		case orderRelease:
			out = append(out, "release "+d.nameOf(o.e)+" "+strconv.FormatBool(o.keep))
		case orderCut:
			out = append(out, "cut")
		case orderDial:
			out = append(out, "dial")
		case orderHangUp:
			out = append(out, "hang up")
		}
	}
	d.orders = d.orders[:0]
	if e := d.offer(d.now); e != nil {
		out = append(out, "next: "+d.nameOf(e))
	}
	if d.closed() {
		out = append(out, "closed")
	}
	return strings.Join(out, "; ")
}

// TestBook: what becomes of publications, event by event. After each comes what it
// leads to.
func TestBook(t *testing.T) {
	datadriven.RunTest(t, "testdata/book.txt", func(t *testing.T, c *datadriven.TestData) string {
		d := newDesk(settings{spool: c.HasArg("spool"), failBlocked: c.HasArg("fail-blocked")})
		var b strings.Builder
		for line := range strings.Lines(c.Input) {
			line = strings.TrimSpace(line)
			d.do(line)
			b.WriteString(strings.TrimSpace(fmt.Sprintf("%-22s %s", line, d.said())) + "\n")
		}
		return b.String()
	})
}

// TestBookForgetsNothing: whatever happens in whatever order, each publication is
// answered once, nothing of it is left, and those of which nothing was lost and nothing
// refused are published in order.
func TestBookForgetsNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := newDesk(settings{spool: rapid.Bool().Draw(rt, "spool"), failBlocked: rapid.Bool().Draw(rt, "fail blocked")})
		m := &machine{desk: d, answered: map[*entry]int{}}
		for range rapid.IntRange(1, 80).Draw(rt, "steps") {
			m.step(rt)
		}
		d.close()
		d.expire(d.now)
		for range 1000 {
			m.take()
			m.settle(rt)
		}
		if !d.closed() || len(d.live) > 0 || d.out != 0 {
			rt.Fatalf("closed: %t, live: %d, with the broker: %d", d.closed(), len(d.live), d.out)
		}
		for name, e := range d.names {
			if m.answered[e] != 1 {
				rt.Fatalf("%s: %d answers", name, m.answered[e])
			}
		}
	})
}

// machine is a world that keeps the promises of sessions and the spool.
type machine struct {
	*desk
	answered map[*entry]int
	sender   *entry
	cut      bool
	with     []*entry // with the session
	storing  []*entry
	dialing  bool
}

// take does the orders.
func (m *machine) take() {
	for _, o := range m.orders {
		switch o.kind {
		case orderAnswer:
			m.answered[o.e]++
		case orderPut:
			m.storing = append(m.storing, o.e)
		case orderRelease:
		case orderCut:
			m.cut = true
		case orderDial:
			m.dialing = true
		case orderHangUp:
			m.cut = true // as the session is closed
		}
	}
	m.orders = m.orders[:0]
}

func (m *machine) step(rt *rapid.T) {
	switch rapid.IntRange(0, 9).Draw(rt, "what") {
	case 0, 1, 2:
		name := "m" + strconv.Itoa(len(m.names))
		m.do([]string{"add ", "add-delayed "}[rapid.IntRange(0, 1).Draw(rt, "delayed")] + name)
	case 3:
		m.now = m.now.Add(time.Duration(rapid.IntRange(1, 3000).Draw(rt, "ms")) * time.Millisecond)
		m.tick(m.now)
	case 4:
		if len(m.names) > 0 {
			m.do("cancel m" + strconv.Itoa(rapid.IntRange(0, len(m.names)-1).Draw(rt, "whose")))
		}
	case 5:
		m.do(rapid.SampledFrom([]string{"ended", "block", "unblock"}).Draw(rt, "session"))
	case 6, 7:
		if e := m.offer(m.now); e != nil && m.sender == nil {
			m.fed(e)
			m.sender, m.cut = e, false
		}
	default:
		m.settle(rt)
	}
	m.take()
}

// settle answers one thing that is under way.
func (m *machine) settle(rt *rapid.T) {
	pick := func(list *[]*entry) *entry {
		i := rapid.IntRange(0, len(*list)-1).Draw(rt, "which")
		e := (*list)[i]
		*list = slices.Delete(*list, i, i+1)
		return e
	}
	word := func(of ...string) error { return answers[rapid.SampledFrom(of).Draw(rt, "answer")] }
	switch {
	case m.dialing:
		m.dialing = false
		m.dialed(word("ok", "ok", "unreachable"), m.now)
	case m.sender != nil && (m.cut || rapid.Bool().Draw(rt, "sender")):
		e := m.sender
		m.sender = nil
		err := word("ok", "ok", "ok", "invalid", "interrupted")
		if err == nil {
			m.with = append(m.with, e)
		}
		m.sent(e, err, m.now)
	case len(m.storing) > 0:
		m.kept(pick(&m.storing), word("ok", "ok", "full"), m.now)
	case len(m.with) > 0:
		m.heard(pick(&m.with), word("ok", "ok", "returned", "refused", "unknown", "unknown", "forbidden"), m.now)
	}
}
