package difftest

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// finish looks at what is left, and leaves nothing behind.
func (w *world) finish() error {
	for i := range w.state {
		for j, st := range w.state[i] {
			if st == nil || st.ch.closed != "" {
				continue
			}
			if _, err := st.ch.call(&wire.ChannelClose{ReplyCode: 200}); err != nil {
				return err
			}
			delete(st.ch.c.channels, st.ch.id)
			w.state[i][j] = nil
			if err := w.settle(); err != nil {
				return err
			}
		}
	}
	if err := w.takeAll(); err != nil {
		return err
	}
	for _, q := range slices.Sorted(maps.Keys(w.queues)) {
		if err := w.delete(q); err != nil {
			return err
		}
	}
	ch, err := w.observer(0)
	if err != nil {
		return err
	}
	for _, x := range slices.Sorted(maps.Keys(w.exchanges)) {
		if _, err := ch.call(&wire.ExchangeDelete{Exchange: x}); err != nil {
			return err
		}
	}
	return nil
}

// takeAll takes all that is ready out of the queues.
func (w *world) takeAll() error {
	for _, q := range slices.Sorted(maps.Keys(w.queues)) {
		if err := w.take(q); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) take(q string) error {
	ch, err := w.observer(max(w.queues[q], 0))
	if err != nil {
		return err
	}
	for {
		reply, err := ch.call(&wire.BasicGet{Queue: q, NoAck: true})
		if errors.Is(err, errClosed) {
			w.note("left in %s: %s", q, ch.closed)
			return nil
		}
		if err != nil {
			return err
		}
		m, ok := reply.m.(*wire.BasicGetOk)
		if !ok {
			return nil
		}
		w.note("left in %s: redelivered=%v ex=%q key=%q %s", q, m.Redelivered, m.Exchange, m.RoutingKey, content(reply))
	}
}

func (w *world) delete(q string) error {
	ch, err := w.observer(max(w.queues[q], 0))
	if err != nil {
		return err
	}
	_, err = ch.call(&wire.QueueDelete{Queue: q})
	if errors.Is(err, errClosed) {
		return fmt.Errorf("difftest: delete %s: %s", q, ch.closed)
	}
	return err
}
