package difftest

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

const (
	connections = 2
	channels    = 2
	observer    = 9 // the channel by which queues are looked at
)

// broker is where to find one.
type broker struct {
	dial  func() (net.Conn, error)
	vhost string
}

// world is a broker in which sequences run, one after the other.
type world struct {
	broker
	clients [connections]*client

	prefix    string
	patient   bool // queues need time: they are quorum queues
	state     [connections][channels]*state
	queues    map[string]int // all there are, and to which connection they are exclusive, or -1
	exchanges map[string]bool
	letters   bool     // there may be dead letters
	undecided bool     // what comes of the last operation
	generated []string // names that the broker chose
	counts    string
	trace     []string
}

// state is what the test knows of a channel.
type state struct {
	ch        *channel
	unsettled []delivery
	consumers map[string]string // queues by tag
	noAck     map[string]bool   // by tag, also of consumers that are no more
	confirms  bool
	queue     string // declared last
}

// delivery is one that is not settled.
type delivery struct {
	tag      uint64
	consumer string // "" if it was got
}

// run runs a sequence and returns its trace, for comparison.
func (w *world) run(prefix string, patient bool, ops []op) (trace []string, err error) {
	w.prefix, w.patient = prefix, patient
	w.state = [connections][channels]*state{}
	w.queues, w.exchanges = map[string]int{}, map[string]bool{}
	w.generated, w.counts, w.trace, w.undecided, w.letters = nil, "", nil, false, false
	for _, o := range ops {
		if err := w.step(o); err != nil {
			return w.trace, fmt.Errorf("%s: %w", o, err)
		}
		if w.undecided {
			trace = slices.Clone(w.trace)
			return trace, w.finish()
		}
	}
	if patient {
		// What finish requeues takes another place there.
		err = w.takeAll()
		trace = slices.Clone(w.trace)
		return trace, errors.Join(err, w.finish())
	}
	err = w.finish()
	return w.trace, err
}

func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, w.text(fmt.Sprintf(format, args...)))
}

// step performs an operation and waits for all that comes of it.
func (w *world) step(o op) error {
	st, err := w.channel(o.conn, o.ch)
	if err != nil {
		return err
	}
	outcome, err := w.perform(st, o)
	if errors.Is(err, errClosed) {
		outcome, err = st.ch.closed, nil
	}
	if err != nil {
		return err
	}
	w.note("%s -> %s", o, outcome)
	held := len(st.unsettled) + len(st.consumers)
	if st.ch.c.closed != "" && w.consuming(o.conn) > 0 || w.patient && st.ch.closed != "" && held > 0 {
		w.undecided = true
		return nil
	}
	return w.settle()
}

// consuming counts the channels of a connection that have consumers. When it is
// closed, RabbitMQ ends them one after the other: what one of them had not settled
// may go to another one, or may not.
func (w *world) consuming(conn int) int {
	n := 0
	for _, st := range w.state[conn] {
		if st != nil && len(st.consumers) > 0 {
			n++
		}
	}
	return n
}

func (w *world) client(i int) (*client, error) {
	if c := w.clients[i]; c != nil && c.closed == "" {
		return c, nil
	}
	if old := w.clients[i]; old != nil {
		_ = old.nc.Close()
	}
	nc, err := w.dial()
	c, err := dial(w.vhost, nc, err)
	w.clients[i] = c
	w.state[i] = [channels]*state{}
	return c, err
}

func (w *world) channel(conn, i int) (*state, error) {
	c, err := w.client(conn)
	if err != nil {
		return nil, err
	}
	if st := w.state[conn][i]; st != nil && st.ch.closed == "" {
		return st, nil
	}
	ch, err := c.open(uint16(i + 1))
	st := &state{ch: ch, consumers: map[string]string{}, noAck: map[string]bool{}}
	w.state[conn][i] = st
	return st, err
}

func (w *world) observer(conn int) (*channel, error) {
	c, err := w.client(conn)
	if err != nil {
		return nil, err
	}
	if ch := c.channels[observer]; ch != nil && ch.closed == "" {
		return ch, nil
	}
	return c.open(observer)
}

// settle waits until nothing happens any more, and notes what did.
func (w *world) settle() error {
	calm, before := 0, ""
	// Each round lets what happened in a queue go one step on: to a channel, or to
	// the next queue for dead letters.
	need := 2
	if w.letters {
		need = 4
	}
	if w.patient {
		need = 5
	}
	var events []string
	for calm < need {
		if w.patient && calm > 0 {
			<-time.After(5 * time.Millisecond)
		}
		news, err := w.ping()
		if err != nil {
			return err
		}
		counts, err := w.poll()
		if err != nil {
			return err
		}
		if len(news) > 0 || counts != before {
			calm = 0
		} else {
			calm++
		}
		before = counts
		events = append(events, news...)
	}
	// In the order of the channels, and there what is delivered last: nothing is said
	// of events on two channels, nor of when what was published comes out of a queue.
	slices.SortStableFunc(events, func(a, b string) int {
		if c := strings.Compare(a[:3], b[:3]); c != 0 {
			return c
		}
		return isDelivery(a) - isDelivery(b)
	})
	for _, e := range events {
		w.note("    %s", e)
	}
	if before != w.counts {
		w.note("    queues: %s", before)
		w.counts = before
	}
	return nil
}

func isDelivery(event string) int {
	if strings.HasPrefix(event[3:], " deliver") {
		return 1
	}
	return 0
}

// ping makes sure that all channels have done what they were asked to, and takes in
// what they sent.
func (w *world) ping() (events []string, err error) {
	each := func(f func(name string, st *state) error) error {
		for i, c := range w.state {
			for j, st := range c {
				if st == nil {
					continue
				}
				if err := f(fmt.Sprintf("%d.%d", i, j), st); err != nil && !errors.Is(err, errClosed) {
					return err
				}
			}
		}
		return nil
	}
	err = each(func(_ string, st *state) error {
		if st.ch.closed != "" {
			return nil
		}
		st.ch.send(&wire.BasicCancel{ConsumerTag: "nobody"})
		return st.ch.c.flush()
	})
	if err != nil {
		return nil, err
	}
	err = each(func(name string, st *state) error {
		_, err := st.ch.wait()
		for _, e := range st.ch.events {
			events = append(events, name+" "+w.event(st, e))
		}
		st.ch.events = nil
		return err
	})
	for i := range w.state {
		for j, st := range w.state[i] {
			if st != nil && st.ch.closed != "" {
				events = append(events, fmt.Sprintf("%d.%d closed", i, j))
				w.state[i][j] = nil
			}
		}
		if c := w.clients[i]; c != nil && c.closed != "" {
			w.disowned(i)
			w.clients[i] = nil
		}
	}
	return events, err
}

// disowned forgets the queues that were exclusive to a connection.
func (w *world) disowned(conn int) {
	maps.DeleteFunc(w.queues, func(_ string, owner int) bool { return owner == conn })
}

// poll returns the counts of all queues. Those that are gone it forgets.
func (w *world) poll() (string, error) {
	names := slices.Sorted(maps.Keys(w.queues))
	var counts []string
	for conn := range connections {
		mine := slices.DeleteFunc(slices.Clone(names), func(q string) bool { return max(w.queues[q], 0) != conn })
		for len(mine) > 0 {
			ch, err := w.observer(conn)
			if err != nil {
				return "", err
			}
			for _, q := range mine {
				ch.send(&wire.QueueDeclare{Queue: q, Passive: true})
			}
			left, err := w.countAll(ch, mine, &counts)
			if err != nil {
				return "", err
			}
			mine = left
		}
	}
	slices.Sort(counts)
	return strings.Join(counts, " "), nil
}

// countAll takes the answers about queues and returns the queues after the first
// that does not exist: the channel is closed then.
func (w *world) countAll(ch *channel, queues []string, counts *[]string) ([]string, error) {
	for i, q := range queues {
		reply, err := ch.wait()
		if errors.Is(err, errClosed) {
			if !strings.Contains(ch.closed, "no queue") {
				return nil, fmt.Errorf("difftest: %s: %s", q, ch.closed)
			}
			delete(w.queues, q)
			return queues[i+1:], nil
		}
		if err != nil {
			return nil, err
		}
		ok := reply.m.(*wire.QueueDeclareOk)
		*counts = append(*counts, fmt.Sprintf("%s=%d/%s", w.text(q), ok.MessageCount, w.consumers(ok)))
	}
	return nil, nil
}

// consumers returns the number of consumers. RabbitMQ counts those who got from a
// quorum queue among them: nothing is said of these.
func (w *world) consumers(ok *wire.QueueDeclareOk) string {
	if w.patient {
		return "?"
	}
	return fmt.Sprint(ok.ConsumerCount)
}

// event notes what came on a channel and returns it as text.
func (w *world) event(st *state, e command) string {
	switch m := e.m.(type) {
	case *wire.BasicDeliver:
		if !st.noAck[m.ConsumerTag] {
			st.unsettled = append(st.unsettled, delivery{m.DeliveryTag, m.ConsumerTag})
		}
		return fmt.Sprintf("deliver %s #%d redelivered=%v ex=%q key=%q %s",
			m.ConsumerTag, m.DeliveryTag, m.Redelivered, m.Exchange, m.RoutingKey, content(e))
	case *wire.BasicReturn:
		return fmt.Sprintf("return %d %s ex=%q key=%q %s", m.ReplyCode, m.ReplyText, m.Exchange, m.RoutingKey, content(e))
	case *wire.BasicNack:
		// RabbitMQ says multiple and requeue, which means nothing to a publisher.
		return fmt.Sprint("nack #", m.DeliveryTag)
	case *wire.BasicCancel:
		delete(st.consumers, m.ConsumerTag)
	}
	return e.m.Name() + strings.TrimPrefix(fmt.Sprintf("%+v", e.m), "&")
}

func content(c command) string {
	p, err := wire.ParseProperties(c.props)
	if err != nil {
		return err.Error()
	}
	return propsText(p) + " " + string(c.body)
}
