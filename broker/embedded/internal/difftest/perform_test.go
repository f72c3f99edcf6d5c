package difftest

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// real returns the name in the broker of a queue or exchange of the sequence.
func (w *world) real(name string) string {
	switch {
	case name == "" || strings.HasPrefix(name, "amq."):
		return name
	case strings.HasPrefix(name, "gen"):
		i := int(name[3] - '0')
		if i < len(w.generated) {
			return w.generated[i]
		}
	}
	return w.prefix + name
}

// key returns a routing key: those that are names of queues are queues' real names.
func (w *world) key(k string) string {
	if len(k) == 2 && k[0] == 'q' || strings.HasPrefix(k, "gen") {
		return w.real(k)
	}
	return k
}

// serverNamed is a name that was chosen for a queue that could not be declared.
var serverNamed = regexp.MustCompile(`amq\.gen-[\w-]{22}`)

// text is the reverse of real in a text.
func (w *world) text(s string) string {
	for i, name := range w.generated {
		s = strings.ReplaceAll(s, name, fmt.Sprint("gen", i))
	}
	s = serverNamed.ReplaceAllString(s, "amq.gen")
	s = strings.ReplaceAll(s, "vhost '"+w.vhost+"'", "vhost '/'")
	return strings.ReplaceAll(s, w.prefix, "")
}

func (w *world) table(t wire.Table) wire.Table {
	if t == nil {
		return nil
	}
	r := wire.Table{}
	for name, v := range t {
		switch v := v.(type) {
		case string:
			switch name {
			case "x-dead-letter-exchange", "alternate-exchange":
				r[name] = w.real(v)
			default:
				r[name] = w.key(v)
			}
		case []any:
			keys := slices.Clone(v)
			for i, k := range keys {
				if k, ok := k.(string); ok {
					keys[i] = w.key(k)
				}
			}
			r[name] = keys
		default:
			r[name] = v
		}
	}
	return r
}

// perform does one operation and returns what the broker says of it.
func (w *world) perform(st *state, o op) (string, error) {
	switch m := o.m.(type) {
	case nil:
		return w.special(st, o)
	case *wire.QueueDeclare:
		return w.declare(st, o.conn, *m)
	case *wire.BasicConsume:
		return w.consume(st, *m)
	case *wire.BasicPublish:
		return w.publish(st, o, *m)
	case *wire.BasicGet:
		reply, err := st.ch.call(&wire.BasicGet{Queue: w.real(m.Queue), NoAck: m.NoAck})
		if err != nil {
			return "", err
		}
		if ok, is := reply.m.(*wire.BasicGetOk); is {
			if !m.NoAck {
				st.unsettled = append(st.unsettled, delivery{tag: ok.DeliveryTag})
			}
			return fmt.Sprintf("%+v %s", ok, content(reply)), nil
		}
		return reply.m.Name(), nil
	case *wire.BasicCancel:
		delete(st.consumers, m.ConsumerTag)
	case *wire.BasicRecover:
		if consumersOf(st.unsettled) > 1 {
			return "not done: of several consumers", nil // as in special
		}
		st.unsettled = nil
	case *wire.ConfirmSelect:
		st.confirms = true
	case *wire.ExchangeDeclare:
		if !strings.HasPrefix(m.Exchange, "amq.") && m.Exchange != "" && !m.Passive {
			w.exchanges[w.real(m.Exchange)] = true
		}
	}
	reply, err := st.ch.call(w.method(o.m))
	if err != nil {
		return "", err
	}
	return reply.m.Name() + strings.TrimPrefix(fmt.Sprintf("%+v", reply.m), "&"), nil
}

// method returns a method with real names.
func (w *world) method(m wire.Method) wire.Method {
	switch m := m.(type) {
	case *wire.ExchangeDeclare:
		c := *m
		c.Exchange, c.Arguments = w.real(m.Exchange), w.table(m.Arguments)
		return &c
	case *wire.ExchangeDelete:
		c := *m
		c.Exchange = w.real(m.Exchange)
		return &c
	case *wire.ExchangeBind:
		return &wire.ExchangeBind{
			Destination: w.real(m.Destination), Source: w.real(m.Source),
			RoutingKey: w.key(m.RoutingKey), Arguments: w.table(m.Arguments),
		}
	case *wire.ExchangeUnbind:
		return &wire.ExchangeUnbind{
			Destination: w.real(m.Destination), Source: w.real(m.Source),
			RoutingKey: w.key(m.RoutingKey), Arguments: w.table(m.Arguments),
		}
	case *wire.QueueBind:
		return &wire.QueueBind{
			Queue: w.real(m.Queue), Exchange: w.real(m.Exchange),
			RoutingKey: w.key(m.RoutingKey), Arguments: w.table(m.Arguments),
		}
	case *wire.QueueUnbind:
		return &wire.QueueUnbind{
			Queue: w.real(m.Queue), Exchange: w.real(m.Exchange),
			RoutingKey: w.key(m.RoutingKey), Arguments: w.table(m.Arguments),
		}
	case *wire.QueuePurge:
		return &wire.QueuePurge{Queue: w.real(m.Queue)}
	case *wire.QueueDelete:
		c := *m
		c.Queue = w.real(m.Queue)
		return &c
	}
	return m
}

func (w *world) declare(st *state, conn int, m wire.QueueDeclare) (string, error) {
	name := m.Queue
	if _, ok := m.Arguments["x-dead-letter-exchange"]; ok {
		w.letters = true
	}
	m.Queue, m.Arguments = w.real(m.Queue), w.table(m.Arguments)
	reply, err := st.ch.call(&m)
	if err != nil {
		return "", err
	}
	ok := reply.m.(*wire.QueueDeclareOk)
	if name == "" && !m.Passive {
		w.generated = append(w.generated, ok.Queue)
		if !strings.HasPrefix(ok.Queue, "amq.gen-") || len(ok.Queue) != len("amq.gen-")+22 {
			return "strange name " + ok.Queue, nil
		}
	}
	st.queue = ok.Queue
	if _, known := w.queues[ok.Queue]; !known {
		w.queues[ok.Queue] = -1
		if m.Exclusive {
			w.queues[ok.Queue] = conn
		}
	}
	return fmt.Sprintf("ok %s %d/%s", ok.Queue, ok.MessageCount, w.consumers(ok)), nil
}

func (w *world) consume(st *state, m wire.BasicConsume) (string, error) {
	m.Queue = w.real(m.Queue)
	queue := m.Queue
	if queue == "" {
		queue = st.queue
	}
	for _, other := range st.consumers {
		if other != queue {
			return "not done: the channel consumes from another queue", nil
		}
	}
	_, again := st.consumers[m.ConsumerTag]
	if !again {
		st.noAck[m.ConsumerTag] = m.NoAck
	}
	reply, err := st.ch.call(&m)
	if err != nil {
		return "", err
	}
	st.consumers[m.ConsumerTag] = queue
	return fmt.Sprintf("%+v", reply.m), nil
}

func (w *world) publish(st *state, o op, m wire.BasicPublish) (string, error) {
	m.Exchange, m.RoutingKey = w.real(m.Exchange), w.key(m.RoutingKey)
	p := *o.props
	p.Headers = w.table(p.Headers)
	props, err := p.AppendRaw(nil)
	if err != nil {
		return "", err
	}
	st.ch.publish(&m, props, []byte(o.body))
	if !st.confirms {
		return "sent", w.sync(st)
	}
	confirmed := func(c command) bool {
		switch c.m.(type) {
		case *wire.BasicAck, *wire.BasicNack:
			return true
		}
		return false
	}
	return "sent", st.ch.until(func() bool { return slices.ContainsFunc(st.ch.events, confirmed) })
}

// sync waits until the channel has done what it was asked to.
func (w *world) sync(st *state) error {
	_, err := st.ch.call(&wire.BasicCancel{ConsumerTag: "nobody"})
	return err
}

// special does what has no method that could be written down beforehand.
func (w *world) special(st *state, o op) (string, error) {
	switch o.what {
	case "close channel":
		reply, err := st.ch.call(&wire.ChannelClose{ReplyCode: 200})
		st.ch.closed = "by the client"
		return reply.m.Name(), err
	case "close connection":
		err := st.ch.c.close()
		st.ch.c.closed = "by the client"
		for _, ch := range st.ch.c.channels {
			ch.closed = st.ch.c.closed
		}
		return "closed", err
	}
	verb, how, _ := strings.Cut(o.what, " ")
	multiple, requeue := strings.Contains(how, "multiple"), strings.Contains(how, "requeue")
	before := slices.Clone(st.unsettled)
	tag, settled, ok := st.pick(o.pick, multiple)
	if !ok {
		return "not done: nothing is unsettled", nil
	}
	if verb == "nack" && consumersOf(settled) > 1 {
		// RabbitMQ takes those of one consumer after the other, in the order of the tags.
		st.unsettled = before
		return "not done: of several consumers", nil
	}
	switch verb {
	case "ack":
		st.ch.send(&wire.BasicAck{DeliveryTag: tag, Multiple: multiple})
	case "nack":
		st.ch.send(&wire.BasicNack{DeliveryTag: tag, Multiple: multiple, Requeue: requeue})
	case "reject":
		st.ch.send(&wire.BasicReject{DeliveryTag: tag, Requeue: requeue})
	default:
		return "", fmt.Errorf("difftest: what is %q", o.what)
	}
	return fmt.Sprint("sent #", tag), w.sync(st)
}

// pick returns the tag of a delivery to settle, and takes off the list what is
// settled with it.
func (st *state) pick(i int, multiple bool) (tag uint64, settled []delivery, ok bool) {
	switch {
	case i == -1:
		return 9999, nil, true
	case i == -2 && multiple:
		settled, st.unsettled = st.unsettled, nil
		return 0, settled, true
	case len(st.unsettled) == 0 || i < 0:
		return 0, nil, false
	}
	slices.SortFunc(st.unsettled, func(a, b delivery) int { return cmp.Compare(a.tag, b.tag) })
	at := i % len(st.unsettled)
	from := at
	if multiple {
		from = 0
	}
	settled = slices.Clone(st.unsettled[from : at+1])
	st.unsettled = slices.Delete(st.unsettled, from, at+1)
	return settled[len(settled)-1].tag, settled, true
}

// consumersOf returns how many consumers the deliveries were to.
func consumersOf(ds []delivery) int {
	tags := map[string]bool{}
	for _, d := range ds {
		tags[d.consumer] = true
	}
	return len(tags)
}
