package embedded

import (
	"github.com/magne-actors/magne-actors/broker/embedded/internal/engine"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// publish gives the message that is whole now to the engine. It answers what the
// engine does not: a return comes before the confirm of its message.
func (ch *channel) publish() error {
	c := &ch.content
	body := c.body
	c.body = nil
	if c.immediate {
		return failf(wire.CodeNotImplemented, "immediate=true")
	}
	var confirms engine.Confirmer
	if ch.confirms != nil {
		confirms = ch.confirms
		ch.seq++
		ch.confirms.publish()
	}
	p := &ch.message
	*p = engine.Publish{Exchange: c.exchange, Key: c.key, Mandatory: c.mandatory, Props: c.props, Body: body}
	routed, err := ch.conn.b.engine.Publish(p, confirms, ch.seq, ch.conn.user)
	defer func() { p.Body = nil }() // the engine's, or nobody's
	if err != nil || routed {
		return err
	}
	if c.mandatory {
		ch.giveBack(p)
	}
	if ch.confirms != nil {
		ch.confirms.Confirmed(ch.seq, true)
	}
	return nil
}

// giveBack returns a message that went nowhere, as the engine left it.
func (ch *channel) giveBack(p *engine.Publish) {
	w := ch.conn.out
	w.mu.Lock()
	defer w.mu.Unlock()
	before := len(w.buf)
	w.buf = wire.AppendReturn(w.buf, ch.id, wire.CodeNoRoute, "NO_ROUTE", p.Exchange, p.Key)
	w.buf = wire.AppendContent(w.buf, ch.id, wire.ClassBasic, p.Props, p.Body, ch.conn.frameMax)
	w.replied(before)
}

// confirmSelect turns on confirms.
func (ch *channel) confirmSelect(m *wire.ConfirmSelect) error {
	if ch.confirms == nil {
		ch.confirms = newConfirmer(ch, ch.conn.b.o.Faults.confirmDelay)
	}
	ch.reply(m.NoWait, &wire.ConfirmSelectOk{})
	return nil
}
