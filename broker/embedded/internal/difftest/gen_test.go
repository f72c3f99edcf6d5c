package difftest

import (
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// Names are few, so that operations meet.
var (
	queueNames    = []string{"q0", "q1", "q2"}
	exchangeNames = []string{"x0", "x1", "x2"}
	keys          = []string{"q0", "q1", "q2", "a", "a.b", "a.b.c", ""}
	bindingKeys   = []string{"q0", "q1", "a", "a.b", "a.*", "#", "*.b.#", ""}
)

// gen draws the operations of one sequence. For quorum queues it leaves out what
// RabbitMQ does in another way there than with classic ones, of which the embedded
// broker knows one kind only: where requeued messages go, when the expired go, and
// what length limits count.
type gen struct {
	t      *rapid.T
	quorum bool
	bodies int
	there  []string // exchanges that were declared
	tags   int
	// priorities says that queues may have them, and then nothing expires at once:
	// RabbitMQ looks for the expired in all lanes of such a queue at other times.
	priorities bool
	expiry     bool // something expires at once
	// global says that there are limits of channels, and then what is got is not to be
	// settled: RabbitMQ counts what is unsettled when the limit is set, and does not
	// uncount what was got.
	global bool
	// What the generator believes of the channels: errors close some of them, and
	// then it is wrong.
	consumers map[[2]int][]string // tags by channel
	busy      [][2]int            // channels that were given something to settle
	weights   []string
}

// kinds are the operations with their weights.
var kinds = map[string]int{
	"publish": 30, "get": 7, "consume": 12, "cancel": 3, "settle": 20, "recover": 3, "qos": 4, "confirm": 1,
	"declare queue": 4, "declare exchange": 2, "bind": 4, "unbind": 2, "bind exchange": 2, "unbind exchange": 1,
	"purge": 1, "delete queue": 2, "delete exchange": 1, "close channel": 2, "close connection": 1, "flow": 1,
}

var kindNames = []string{
	"publish", "get", "consume", "cancel", "settle", "recover", "qos", "confirm", "declare queue",
	"declare exchange", "bind", "unbind", "bind exchange", "unbind exchange", "purge", "delete queue",
	"delete exchange", "close channel", "close connection", "flow",
}

func sequence(t *rapid.T, quorum bool) []op {
	g := &gen{t: t, quorum: quorum, consumers: map[[2]int][]string{}}
	g.priorities = !quorum && g.seldom("priorities", 3)
	g.expiry = !quorum && !g.priorities
	g.global = !quorum && g.seldom("global", 3)
	for _, k := range kindNames {
		for range kinds[k] {
			g.weights = append(g.weights, k)
		}
	}
	var ops []op
	for i := range g.between("queues", 2, 3) {
		ops = append(ops, g.op("declare queue", &wire.QueueDeclare{
			Queue: queueNames[i], Durable: g.quorum || g.bool("durable"), Arguments: g.queueArgs(),
		}))
	}
	for i := range g.between("exchanges", 0, 2) {
		ops = append(ops, g.declareExchange(exchangeNames[i], false))
		g.there = append(g.there, exchangeNames[i])
	}
	for i := range connections * channels {
		if quorum {
			ops = append(ops, op{conn: i / channels, ch: i % channels, m: &wire.BasicQos{PrefetchCount: 1}})
		}
		if g.bool("confirm") {
			ops = append(ops, op{conn: i / channels, ch: i % channels, m: &wire.ConfirmSelect{}})
		}
	}
	for range g.between("bindings", 0, 3) {
		ops = append(ops, g.bind(false))
	}
	most := 40
	if quorum {
		most = 20
	}
	for range g.between("operations", 1, most) {
		ops = append(ops, g.any())
	}
	return ops
}

func (g *gen) bool(label string) bool { return rapid.Bool().Draw(g.t, label) }

// between draws each number with the same probability, which the generators of
// rapid do not: they prefer what is small.
func (g *gen) between(label string, lo, hi int) int {
	n := 0
	for _, bit := range bits.Draw(g.t, label) {
		n *= 2
		if bit {
			n++
		}
	}
	return lo + n%(hi-lo+1)
}

var bits = rapid.SliceOfN(rapid.Bool(), 12, 12)

func from[T any](g *gen, label string, of []T) T { return of[g.between(label, 0, len(of)-1)] }

func (g *gen) one(label string, of ...string) string { return from(g, label, of) }

// seldom is true once in n times.
func (g *gen) seldom(label string, n int) bool {
	return g.between(label, 0, n-1) == n-1
}

func (g *gen) op(what string, m wire.Method) op {
	return op{
		conn: from(g, "connection", []int{0, 0, 0, 1}),
		ch:   g.between("channel", 0, channels-1), what: what, m: m,
	}
}

func (g *gen) queue() string {
	if g.seldom("another queue", 40) {
		return g.one("queue", "", "gen0", "nix", "amq.nix")
	}
	return g.one("queue", queueNames...)
}

func (g *gen) exchange() string {
	if g.seldom("another exchange", 40) {
		return g.one("exchange", "", "nix", "amq.rabbitmq.trace", "x0", "x1", "x2")
	}
	return g.one("exchange", append(g.there, "amq.direct", "amq.fanout", "amq.topic", "amq.headers")...)
}

func (g *gen) any() op {
	switch kind := g.one("operation", g.weights...); kind {
	case "publish":
		return g.publish()
	case "get":
		o := g.op("", &wire.BasicGet{Queue: g.queue(), NoAck: g.quorum || g.global || g.seldom("no ack", 3)})
		g.busy = append(g.busy, [2]int{o.conn, o.ch})
		return o
	case "consume":
		return g.consume()
	case "cancel":
		o := g.op("", nil)
		o.m = &wire.BasicCancel{ConsumerTag: g.one("tag", append(g.consumers[[2]int{o.conn, o.ch}], "c0")...)}
		return o
	case "settle":
		return g.settle()
	case "recover":
		if g.quorum {
			return g.settle()
		}
		return g.op("", &wire.BasicRecover{Requeue: !g.seldom("without requeue", 20)})
	case "qos":
		if g.quorum {
			return g.op("", &wire.BasicQos{PrefetchCount: 1})
		}
		return g.op("", &wire.BasicQos{PrefetchCount: uint16(g.between("prefetch", 0, 3)), Global: g.global && g.bool("of the channel")})
	case "confirm":
		return g.op("", &wire.ConfirmSelect{})
	case "flow":
		return g.op("", &wire.ChannelFlow{Active: !g.seldom("stop", 10)})
	case "close channel", "close connection":
		return g.op(kind, nil)
	default:
		return g.topology(kind)
	}
}

func (g *gen) publish() op {
	p := &wire.Properties{DeliveryMode: from(g, "mode", []uint8{0, 1, 2, 2}), Headers: g.headers()}
	if g.seldom("with expiration", 6) {
		p.Expiration = "3600000"
	}
	if g.expiry && g.seldom("with expiration", 8) {
		p.Expiration = g.one("expiration", append(slices.Repeat([]string{"0", "3600000"}, 12), "x", "-1")...)
	}
	if g.seldom("with priority", 4) {
		p.Priority = uint8(g.between("priority", 0, 7))
		p.Present = wire.PropPriority
	}
	if g.seldom("with user", 25) {
		p.UserID = g.one("user", "guest", "guest", "somebody")
	}
	if g.seldom("odd mode", 60) {
		p.DeliveryMode = 3
	}
	o := g.op("", nil)
	x := ""
	key := g.one("key", queueNames...)
	if g.seldom("by exchange", 3) {
		x, key = g.exchange(), g.one("key", keys...)
	}
	o.m = &wire.BasicPublish{
		Exchange: x, RoutingKey: key,
		Mandatory: g.seldom("mandatory", 3), Immediate: g.seldom("immediate", 150),
	}
	g.bodies++
	o.props, o.body = p, fmt.Sprint("m", g.bodies)
	return o
}

func (g *gen) headers() wire.Table {
	if !g.seldom("with headers", 4) {
		return nil
	}
	h := wire.Table{}
	for range g.between("headers", 1, 3) {
		switch name := g.one("header", "a", "b", "CC", "BCC", "x-h", "x-death"); name {
		case "CC", "BCC":
			h[name] = []any{g.one("key", keys...), g.one("key", keys...)}
			if g.seldom("no array", 30) {
				h[name] = "q0"
			}
		case "x-death":
			if g.seldom("with deaths", 4) {
				h[name] = from(g, "deaths", []any{
					"nonsense",
					[]any{},
					[]any{wire.Table{"queue": "other", "reason": "expired", "count": int64(2)}},
				})
			}
		default:
			h[name] = g.value()
		}
	}
	return h
}

func (g *gen) value() any {
	return from(g, "value", []any{"1", int32(1), int64(1), 1.0, true, nil, "2", int32(2)})
}

func (g *gen) consume() op {
	o := g.op("", nil)
	at := [2]int{o.conn, o.ch}
	g.busy = append(g.busy, at)
	m := &wire.BasicConsume{
		Queue: g.queue(), ConsumerTag: fmt.Sprint("c", g.tags),
		NoAck: g.seldom("no ack", 4), Exclusive: !g.quorum && g.seldom("exclusive", 10),
	} // RabbitMQ ignores it on quorum queues
	g.tags++
	if used := g.consumers[at]; len(used) > 0 && g.seldom("tag again", 15) {
		m.ConsumerTag = g.one("tag", used...)
	} else {
		g.consumers[at] = append(used, m.ConsumerTag)
	}
	if g.seldom("with priority", 4) {
		m.Arguments = wire.Table{"x-priority": from(g, "priority", []any{int32(1), int32(2), int32(2), int32(-1), "x"})}
	}
	o.m = m
	return o
}

func (g *gen) settle() op {
	verbs := []string{
		"ack", "ack", "ack multiple", "nack", "nack multiple", "reject",
		"reject requeue", "nack requeue", "nack multiple requeue",
	}
	if g.quorum {
		verbs = verbs[:6]
	}
	o := g.op(g.one("settle", verbs...), nil)
	if len(g.busy) > 0 && !g.seldom("on any channel", 10) {
		at := from(g, "channel", g.busy)
		o.conn, o.ch = at[0], at[1]
	}
	o.pick = g.between("which", 0, 3)
	if g.seldom("odd tag", 15) {
		o.pick = from(g, "tag", []int{-1, -2})
	}
	return o
}
