package amqp_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/internal/testenv"
)

// TestConfirmIsMissing: one confirm that does not come must not hold up those of what
// is published later, for ever.
func TestConfirmIsMissing(t *testing.T) {
	n := testenv.SharedNode(t)
	var lose atomic.Int32
	s := dial(t, amqp.Dialer{URL: n.URL, ConfirmTimeout: time.Second, NetDial: func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &deaf{Conn: c, from: bufio.NewReader(c), lose: &lose}, nil
	}})
	q := broker.Queue{Name: testenv.Name(t)}
	consume(t, s, q, 10)
	p := &broker.Publication{RoutingKey: q.Name}
	if err := broker.PublishAndWait(t.Context(), s, p); err != nil {
		t.Fatal(err)
	}
	lose.Store(1)
	var all sync.WaitGroup
	var unknown atomic.Int32
	for range 3 { // the first has no confirm, the others wait behind it
		all.Add(1)
		err := s.Publish(t.Context(), p, func(err error) {
			defer all.Done()
			if errors.Is(err, broker.ErrUnknown) {
				unknown.Add(1)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
	if n := unknown.Load(); n == 0 || lose.Load() != 0 {
		t.Errorf("%d have an unknown outcome; want at least one", n)
	}
	if err := broker.PublishAndWait(t.Context(), s, p); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	select {
	case <-s.Done():
		t.Errorf("the session is gone: %v", s.Err())
	default:
	}
}

// deaf is a connection that loses the confirms which it is told to lose.
type deaf struct {
	net.Conn
	from *bufio.Reader
	lose *atomic.Int32
	rest []byte
}

func (d *deaf) Read(b []byte) (int, error) {
	for len(d.rest) == 0 {
		head, err := d.from.Peek(7)
		if err != nil {
			return 0, err
		}
		frame := make([]byte, 7+binary.BigEndian.Uint32(head[3:])+1)
		if _, err := io.ReadFull(d.from, frame); err != nil {
			return 0, err
		}
		const basic, ack = 60, 80
		isAck := frame[0] == 1 && binary.BigEndian.Uint16(frame[7:]) == basic && binary.BigEndian.Uint16(frame[9:]) == ack
		if !isAck || !d.lose.CompareAndSwap(1, 0) {
			d.rest = frame
		}
	}
	n := copy(b, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}
