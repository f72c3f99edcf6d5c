package embedded

import (
	"github.com/magne-actors/magne-actors/broker/embedded/internal/engine"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// basic does what is asked less often than once per message.
func (ch *channel) basic(m wire.Method) error {
	switch m := m.(type) {
	case *wire.BasicQos:
		if m.PrefetchSize != 0 {
			return failf(wire.CodeNotImplemented, "prefetch_size!=0 (%d)", m.PrefetchSize)
		}
		ch.engine.Qos(m.PrefetchCount, m.Global)
		ch.reply(false, &wire.BasicQosOk{})
		return nil
	case *wire.BasicConsume:
		return ch.consume(m)
	case *wire.BasicCancel:
		ch.engine.Cancel(m.ConsumerTag)
		w := ch.conn.out
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(ch.consumers, m.ConsumerTag)
		if !m.NoWait {
			w.methodLocked(ch.id, &wire.BasicCancelOk{ConsumerTag: m.ConsumerTag})
		}
		return nil
	case *wire.BasicGet:
		return ch.get(m)
	case *wire.BasicRecoverAsync:
		return ch.engine.Recover(m.Requeue)
	case *wire.BasicRecover:
		return ch.done(ch.engine.Recover(m.Requeue), false, &wire.BasicRecoverOk{})
	case *wire.BasicCancelOk: // a client that answers our basic.cancel
		return nil
	}
	return unimplemented()
}

func (ch *channel) consume(m *wire.BasicConsume) error {
	queue, err := ch.queueName(m.Queue)
	if err != nil {
		return err
	}
	if most := ch.conn.b.o.Limits.Consumers; ch.consumerCount() >= most {
		return failf(wire.CodeNotAllowed, "reached maximum (%d) of consumers per channel", most)
	}
	noWait := m.NoWait
	return ch.engine.Consume(engine.ConsumeSpec{
		Queue: queue, Tag: m.ConsumerTag, NoAck: m.NoAck, Exclusive: m.Exclusive, NoLocal: m.NoLocal, Args: m.Arguments,
	}, func(tag string) { ch.started(tag, noWait) })
}

// started is called by the engine before the first delivery.
func (ch *channel) started(tag string, noWait bool) {
	w := ch.conn.out
	w.mu.Lock()
	defer w.mu.Unlock()
	if ch.consumers == nil {
		ch.consumers = map[string]struct{}{}
	}
	ch.consumers[tag] = struct{}{}
	if !noWait {
		w.methodLocked(ch.id, &wire.BasicConsumeOk{ConsumerTag: tag})
	}
}

func (ch *channel) consumerCount() int {
	ch.conn.out.mu.Lock()
	defer ch.conn.out.mu.Unlock()
	return len(ch.consumers)
}

func (ch *channel) get(m *wire.BasicGet) error {
	queue, err := ch.queueName(m.Queue)
	if err != nil {
		return err
	}
	ok, err := ch.engine.Get(queue, m.NoAck, func(d *engine.Delivery) {
		w := ch.conn.out
		w.mu.Lock()
		defer w.mu.Unlock()
		before := len(w.buf)
		w.buf = wire.AppendGetOk(w.buf, ch.id, d.Tag, d.Redelivered, d.Exchange, d.Key, d.Remaining)
		w.buf = wire.AppendContent(w.buf, ch.id, wire.ClassBasic, d.Props, d.Body, ch.conn.frameMax)
		w.replied(before)
	})
	if err == nil && !ok {
		ch.reply(false, &wire.BasicGetEmpty{})
	}
	return err
}
