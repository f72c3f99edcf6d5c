package difftest

import "github.com/magne-actors/magne-actors/broker/embedded/internal/wire"

func (g *gen) topology(kind string) op {
	switch kind {
	case "declare queue":
		return g.declareQueue()
	case "declare exchange":
		if g.bool("of the sequence") {
			return g.declareExchange(g.one("name", exchangeNames...), true)
		}
		return g.declareExchange(g.exchange(), true)
	case "bind", "unbind":
		return g.bind(kind == "unbind")
	case "bind exchange", "unbind exchange":
		return g.bindExchange(kind == "unbind exchange")
	case "purge":
		return g.op("", &wire.QueuePurge{Queue: g.queue()})
	case "delete queue":
		// RabbitMQ does not have the conditions for quorum queues.
		return g.op("", &wire.QueueDelete{
			Queue:    g.queue(),
			IfUnused: !g.quorum && g.seldom("if unused", 3), IfEmpty: !g.quorum && g.seldom("if empty", 3),
		})
	case "delete exchange":
		return g.op("", &wire.ExchangeDelete{Exchange: g.exchange(), IfUnused: g.bool("if unused")})
	}
	panic("kind " + kind)
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
	for range g.between("arguments", 0, 2) {
		args[g.one("argument", "a", "b", "x-h")] = g.value()
	}
	if g.bool("with match") {
		args["x-match"] = from(g, "match", []any{"all", "any", "all-with-x", "any-with-x", "all", "any", "some", int32(1)})
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
		m.Arguments = wire.Table{"alternate-exchange": from(g, "alternate", []any{
			"x0", "x1", "x2", "amq.fanout", "", "nix", int32(1),
		})}
	}
	return g.op("", m)
}

// queueArgs draws arguments that go together, mostly.
func (g *gen) queueArgs() wire.Table {
	args := wire.Table{}
	if g.quorum {
		args["x-queue-type"] = "quorum"
		if g.seldom("with limit", 3) {
			args["x-delivery-limit"] = int32(g.between("limit", 0, 2))
		}
	} else if g.priorities && g.bool("with priorities") {
		args["x-max-priority"] = int32(g.between("priorities", 0, 5))
	}
	if g.bool("with dead letters") {
		args["x-dead-letter-exchange"] = g.one("dlx", "", "", "", "x0", "x1", "amq.fanout", "amq.topic", "nix")
		if !g.seldom("without key", 4) {
			args["x-dead-letter-routing-key"] = g.one("key", append(keys, queueNames...)...)
		}
	}
	limits := []string{"", "", "ttl", "length", "bytes"}
	if g.quorum {
		limits = limits[:3]
	}
	switch g.one("limits", limits...) {
	case "ttl":
		args["x-message-ttl"] = from(g, "ttl", []any{int32(3600000), int64(3600000)})
		if g.expiry && g.bool("at once") {
			args["x-message-ttl"] = int32(0)
		}
	case "length":
		args["x-max-length"] = int32(g.between("length", 0, 3))
	case "bytes":
		args["x-max-length-bytes"] = int32(g.between("bytes", 0, 9))
	}
	if !g.quorum && g.seldom("with overflow", 3) {
		args["x-overflow"] = g.one("overflow", "drop-head", "reject-publish", "reject-publish-dlx")
	}
	if g.seldom("single active", 6) {
		args["x-single-active-consumer"] = true
	}
	if g.seldom("odd argument", 20) {
		args[g.one("name", "x-expires", "x-queue-mode", "x-max-age", "x-other")] = from(g, "value", []any{int32(3600000), "default", nil, "1h", int32(-1)})
	}
	if len(args) == 0 {
		return nil
	}
	return args
}
