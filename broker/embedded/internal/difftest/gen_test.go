package difftest

import (
	"fmt"

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

// gen draws the operations of one sequence.
type gen struct {
	t       *rapid.T
	quorum  bool
	bodies  int
	weights []string
}

// kinds are the operations with their weights.
var kinds = map[string]int{
	"publish": 30, "get": 8, "consume": 8, "cancel": 2, "settle": 14, "recover": 2, "qos": 3, "confirm": 2,
	"declare queue": 4, "declare exchange": 2, "bind": 4, "unbind": 2, "bind exchange": 2, "unbind exchange": 1,
	"purge": 1, "delete queue": 2, "delete exchange": 1, "close channel": 2, "close connection": 1, "flow": 1,
}

var kindNames = []string{
	"publish", "get", "consume", "cancel", "settle", "recover", "qos", "confirm", "declare queue",
	"declare exchange", "bind", "unbind", "bind exchange", "unbind exchange", "purge", "delete queue",
	"delete exchange", "close channel", "close connection", "flow",
}

func sequence(t *rapid.T, quorum bool) []op {
	g := &gen{t: t, quorum: quorum}
	for _, k := range kindNames {
		for range kinds[k] {
			g.weights = append(g.weights, k)
		}
	}
	var ops []op
	for i := range rapid.IntRange(1, 3).Draw(t, "queues") {
		ops = append(ops, g.op("declare queue", &wire.QueueDeclare{
			Queue: queueNames[i], Durable: g.quorum || g.bool("durable"), Arguments: g.queueArgs(),
		}))
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "exchanges") {
		ops = append(ops, g.declareExchange(exchangeNames[i], false))
	}
	for range rapid.IntRange(0, 3).Draw(t, "bindings") {
		ops = append(ops, g.bind(false))
	}
	for range rapid.IntRange(1, 30).Draw(t, "operations") {
		ops = append(ops, g.any())
	}
	return ops
}

func (g *gen) bool(label string) bool { return rapid.Bool().Draw(g.t, label) }

func (g *gen) one(label string, of ...string) string { return rapid.SampledFrom(of).Draw(g.t, label) }

// seldom is true once in n times.
func (g *gen) seldom(label string, n int) bool {
	return rapid.IntRange(0, n-1).Draw(g.t, label) == n-1
}

func (g *gen) op(what string, m wire.Method) op {
	return op{
		conn: rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(g.t, "connection"),
		ch:   rapid.IntRange(0, channels-1).Draw(g.t, "channel"), what: what, m: m,
	}
}

func (g *gen) queue() string {
	if g.seldom("another queue", 12) {
		return g.one("queue", "", "gen0", "nix", "amq.nix")
	}
	return g.one("queue", queueNames...)
}

func (g *gen) exchange() string {
	if g.seldom("another exchange", 12) {
		return g.one("exchange", "", "nix", "amq.rabbitmq.trace")
	}
	return g.one("exchange", append([]string{"amq.direct", "amq.fanout", "amq.topic", "amq.headers"}, exchangeNames...)...)
}

func (g *gen) any() op {
	switch kind := g.one("operation", g.weights...); kind {
	case "publish":
		return g.publish()
	case "get":
		return g.op("", &wire.BasicGet{Queue: g.queue(), NoAck: g.bool("no ack")})
	case "consume":
		return g.consume()
	case "cancel":
		return g.op("", &wire.BasicCancel{ConsumerTag: g.one("tag", "c0", "c1", "c2")})
	case "settle":
		return g.settle()
	case "recover":
		return g.op("", &wire.BasicRecover{Requeue: !g.seldom("without requeue", 8)})
	case "qos":
		return g.op("", &wire.BasicQos{PrefetchCount: uint16(rapid.IntRange(0, 3).Draw(g.t, "prefetch")),
			Global: !g.quorum && g.seldom("global", 3)})
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

func (g *gen) topology(kind string) op {
	switch kind {
	case "declare queue":
		return g.declareQueue()
	case "declare exchange":
		return g.declareExchange(g.exchange(), true)
	case "bind", "unbind":
		return g.bind(kind == "unbind")
	case "bind exchange", "unbind exchange":
		return g.bindExchange(kind == "unbind exchange")
	case "purge":
		return g.op("", &wire.QueuePurge{Queue: g.queue()})
	case "delete queue":
		return g.op("", &wire.QueueDelete{Queue: g.queue(), IfUnused: g.seldom("if unused", 3), IfEmpty: g.seldom("if empty", 3)})
	case "delete exchange":
		return g.op("", &wire.ExchangeDelete{Exchange: g.exchange(), IfUnused: g.bool("if unused")})
	}
	panic("kind " + kind)
}

func (g *gen) publish() op {
	p := &wire.Properties{DeliveryMode: rapid.SampledFrom([]uint8{0, 1, 2, 2}).Draw(g.t, "mode"), Headers: g.headers()}
	if g.seldom("with expiration", 6) {
		p.Expiration = g.one("expiration", "0", "0", "3600000", "3600000", "x", "-1")
	}
	if g.seldom("with priority", 4) {
		p.Priority = uint8(rapid.IntRange(0, 7).Draw(g.t, "priority"))
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
	if g.bool("by exchange") {
		x = g.exchange()
	}
	o.m = &wire.BasicPublish{Exchange: x, RoutingKey: g.one("key", keys...),
		Mandatory: g.seldom("mandatory", 3), Immediate: g.seldom("immediate", 80)}
	g.bodies++
	o.props, o.body = p, fmt.Sprint("m", g.bodies)
	return o
}

func (g *gen) headers() wire.Table {
	if !g.seldom("with headers", 4) {
		return nil
	}
	h := wire.Table{}
	for range rapid.IntRange(1, 3).Draw(g.t, "headers") {
		switch name := g.one("header", "a", "b", "CC", "BCC", "x-h", "x-death"); name {
		case "CC", "BCC":
			h[name] = []any{g.one("key", keys...), g.one("key", keys...)}
			if g.seldom("no array", 10) {
				h[name] = "q0"
			}
		case "x-death":
			if g.seldom("with deaths", 4) {
				h[name] = rapid.SampledFrom([]any{
					"nonsense", []any{},
					[]any{wire.Table{"queue": "other", "reason": "expired", "count": int64(2)}},
				}).Draw(g.t, "deaths")
			}
		default:
			h[name] = g.value()
		}
	}
	return h
}

func (g *gen) value() any {
	return rapid.SampledFrom([]any{"1", int32(1), int64(1), 1.0, true, nil, "2", int32(2)}).Draw(g.t, "value")
}

func (g *gen) consume() op {
	m := &wire.BasicConsume{Queue: g.queue(), ConsumerTag: g.one("tag", "c0", "c1", "c2"),
		NoAck: g.seldom("no ack", 3), Exclusive: g.seldom("exclusive", 8)}
	if g.seldom("with priority", 4) {
		m.Arguments = wire.Table{"x-priority": rapid.SampledFrom([]any{int32(1), int32(2), int32(-1), "x"}).Draw(g.t, "priority")}
	}
	return g.op("", m)
}

func (g *gen) settle() op {
	o := g.op(g.one("settle", "ack", "ack", "ack multiple", "nack", "nack requeue", "nack multiple",
		"nack multiple requeue", "reject", "reject requeue"), nil)
	o.pick = rapid.IntRange(0, 3).Draw(g.t, "which")
	if g.seldom("odd tag", 15) {
		o.pick = rapid.SampledFrom([]int{-1, -2}).Draw(g.t, "tag")
	}
	return o
}

func (g *gen) declareQueue() op {
	m := &wire.QueueDeclare{Queue: g.queue(), Durable: g.quorum || g.bool("durable")}
	switch {
	case g.seldom("passive", 4):
		m.Passive = true
	default:
		m.Arguments = g.queueArgs()
		m.AutoDelete = g.seldom("auto-delete", 4)
		m.Exclusive = g.seldom("exclusive", 4)
	}
	return g.op("", m)
}

func (g *gen) bind(un bool) op {
	q, x, key := g.queue(), g.exchange(), g.one("binding key", bindingKeys...)
	var args wire.Table
	if g.seldom("with arguments", 3) {
		args = g.bindingArgs()
	}
	if un {
		return g.op("", &wire.QueueUnbind{Queue: q, Exchange: x, RoutingKey: key, Arguments: args})
	}
	return g.op("", &wire.QueueBind{Queue: q, Exchange: x, RoutingKey: key, Arguments: args})
}

func (g *gen) bindExchange(un bool) op {
	// Not to one of amq.*: they stay when the sequence has ended.
	dst := g.one("destination", append([]string{"", "nix"}, exchangeNames...)...)
	x, key := g.exchange(), g.one("binding key", bindingKeys...)
	if un {
		return g.op("", &wire.ExchangeUnbind{Destination: dst, Source: x, RoutingKey: key})
	}
	return g.op("", &wire.ExchangeBind{Destination: dst, Source: x, RoutingKey: key})
}

func (g *gen) bindingArgs() wire.Table {
	args := wire.Table{}
	for range rapid.IntRange(0, 2).Draw(g.t, "arguments") {
		args[g.one("argument", "a", "b", "x-h")] = g.value()
	}
	if g.bool("with match") {
		args["x-match"] = rapid.SampledFrom([]any{"all", "any", "all-with-x", "any-with-x", "all", "any", "some", int32(1)}).Draw(g.t, "match")
	}
	return args
}

func (g *gen) declareExchange(name string, odd bool) op {
	m := &wire.ExchangeDeclare{
		Exchange: name, Type: g.one("type", "direct", "fanout", "topic", "headers"),
		Durable: g.bool("durable"), AutoDelete: g.seldom("auto-delete", 4),
	}
	if odd {
		m.Passive = g.seldom("passive", 4)
		m.Internal = g.seldom("internal", 6)
		if g.seldom("odd type", 20) {
			m.Type = "nonsense"
		}
	}
	if g.seldom("with alternate", 4) {
		m.Arguments = wire.Table{"alternate-exchange": rapid.SampledFrom([]any{
			"x0", "x1", "x2", "amq.fanout", "", "nix", int32(1),
		}).Draw(g.t, "alternate")}
	}
	return g.op("", m)
}

// queueArgs draws arguments that go together, mostly.
func (g *gen) queueArgs() wire.Table {
	args := wire.Table{}
	if g.quorum {
		args["x-queue-type"] = "quorum"
		if g.seldom("with limit", 3) {
			args["x-delivery-limit"] = int32(rapid.IntRange(0, 2).Draw(g.t, "limit"))
		}
	} else if g.seldom("with priorities", 4) {
		args["x-max-priority"] = int32(rapid.IntRange(0, 5).Draw(g.t, "priorities"))
	}
	if g.bool("with dead letters") {
		args["x-dead-letter-exchange"] = g.one("dlx", "", "x0", "x1", "amq.fanout", "amq.topic", "nix")
		if g.bool("with key") {
			args["x-dead-letter-routing-key"] = g.one("key", keys...)
		}
	}
	switch g.one("limits", "", "", "ttl", "length", "bytes") {
	case "ttl":
		args["x-message-ttl"] = rapid.SampledFrom([]any{int32(0), int32(3600000), int64(3600000)}).Draw(g.t, "ttl")
	case "length":
		args["x-max-length"] = int32(rapid.IntRange(0, 3).Draw(g.t, "length"))
	case "bytes":
		args["x-max-length-bytes"] = int32(rapid.IntRange(0, 9).Draw(g.t, "bytes"))
	}
	if g.seldom("with overflow", 3) {
		args["x-overflow"] = g.one("overflow", "drop-head", "reject-publish", "reject-publish-dlx")
	}
	if g.seldom("single active", 6) {
		args["x-single-active-consumer"] = true
	}
	if g.seldom("odd argument", 20) {
		args[g.one("name", "x-expires", "x-queue-mode", "x-max-age", "x-other")] =
			rapid.SampledFrom([]any{int32(3600000), "lazy", nil, "1h", int32(-1)}).Draw(g.t, "value")
	}
	if len(args) == 0 {
		return nil
	}
	return args
}
