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
		return newEdited(c, func(frame []byte) []byte {
			a := answerIn(frame)
			if a.method != ack {
				return frame
			}
			if lose.CompareAndSwap(1, 0) {
				return nil
			}
			a.multiple = false // or the next one makes up for the one that is lost
			return a.frame(frame[1:3])
		}), err
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

// TestConfirmedBehindAMissingOne: what the broker has answered is known, although the
// confirm of an earlier publication never comes.
func TestConfirmedBehindAMissingOne(t *testing.T) {
	n := testenv.SharedNode(t)
	const messages = 3
	for name, cut := range map[string]bool{"in time": false, "with the connection": true} {
		t.Run(name, func(t *testing.T) {
			s := dial(t, amqp.Dialer{URL: n.URL, ConfirmTimeout: 5 * time.Second, NetDial: func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := new(net.Dialer).DialContext(ctx, network, address)
				return newEdited(c, func(frame []byte) []byte {
					switch a := answerIn(frame); {
					case a.method == 0:
						return frame
					case a.tag < messages:
						return nil
					}
					if cut { // once this is read
						_ = c.Close()
					}
					return append(answer{ack, 2, false}.frame(frame[1:3]), answer{ack, 3, false}.frame(frame[1:3])...)
				}), err
			}})
			q := broker.Queue{Name: testenv.Name(t)}
			consume(t, s, q, 10)
			var all sync.WaitGroup
			outcomes := make([]error, messages)
			for i, key := range []string{q.Name, q.Name + ".none", q.Name} {
				all.Add(1)
				err := s.Publish(t.Context(), &broker.Publication{RoutingKey: key}, func(err error) {
					defer all.Done()
					outcomes[i] = err
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			all.Wait()
			if !errors.Is(outcomes[0], broker.ErrUnknown) || !errors.Is(outcomes[1], broker.ErrUnroutable) || outcomes[2] != nil {
				t.Errorf("got %v; want unknown, unroutable, nil", outcomes)
			}
		})
	}
}

// TestRefusedAmongConfirmed: the broker refuses one message while an earlier one is
// open, and then confirms all up to a later one. The refused one stays refused.
func TestRefusedAmongConfirmed(t *testing.T) {
	n := testenv.SharedNode(t)
	const messages = 4
	for name, answers := range map[string][]answer{
		"refused, then acks of all":     {{nack, 2, false}, {ack, messages, true}},
		"acked, then refusals of all":   {{ack, 2, false}, {nack, messages, true}},
		"out of order, one at a time":   {{ack, 4, false}, {nack, 3, false}, {nack, 1, false}, {ack, 2, false}},
		"refusals of some, acks of all": {{nack, 2, true}, {ack, messages, true}},
	} {
		t.Run(name, func(t *testing.T) {
			want := make([]bool, messages) // who is refused
			told := make([]bool, messages)
			for _, a := range answers {
				for i := range int(a.tag) {
					if !told[i] && (a.multiple || i == int(a.tag)-1) {
						told[i], want[i] = true, a.method == nack
					}
				}
			}
			s := dial(t, amqp.Dialer{URL: n.URL, NetDial: func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := new(net.Dialer).DialContext(ctx, network, address)
				return newEdited(c, func(frame []byte) []byte {
					switch a := answerIn(frame); {
					case a.method == 0:
						return frame
					case a.tag < messages: // the broker answers in order
						return nil
					}
					var all []byte
					for _, a := range answers {
						all = append(all, a.frame(frame[1:3])...)
					}
					return all
				}), err
			}})
			q := broker.Queue{Name: testenv.Name(t)}
			consume(t, s, q, 10)
			outcomes := make([]error, messages)
			var all sync.WaitGroup
			for i := range messages {
				all.Add(1)
				err := s.Publish(t.Context(), &broker.Publication{RoutingKey: q.Name}, func(err error) {
					defer all.Done()
					outcomes[i] = err
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			all.Wait()
			for i, err := range outcomes {
				if errors.Is(err, broker.ErrRefused) != want[i] || !want[i] && err != nil {
					t.Errorf("message %d: got %v; want refused %v", i+1, err, want[i])
				}
			}
		})
	}
}

// Methods of the class basic, which is 60.
const (
	ack  = 80
	nack = 120
)

// answer is what a broker says of publications.
type answer struct {
	method   uint16 // 0: none
	tag      uint64
	multiple bool
}

func answerIn(frame []byte) answer {
	if frame[0] != 1 || binary.BigEndian.Uint16(frame[7:]) != 60 {
		return answer{}
	}
	switch method := binary.BigEndian.Uint16(frame[9:]); method {
	case ack, nack:
		return answer{method, binary.BigEndian.Uint64(frame[11:]), frame[19]&1 != 0}
	}
	return answer{}
}

func (a answer) frame(channel []byte) []byte {
	b := append([]byte{1}, channel...)
	b = binary.BigEndian.AppendUint32(b, 13)
	b = binary.BigEndian.AppendUint16(b, 60)
	b = binary.BigEndian.AppendUint16(b, a.method)
	b = binary.BigEndian.AppendUint64(b, a.tag)
	if a.multiple {
		return append(b, 1, 0xCE)
	}
	return append(b, 0, 0xCE)
}

// edited is a connection of which each frame that comes in is replaced.
type edited struct {
	net.Conn
	from *bufio.Reader
	edit func(frame []byte) []byte
	rest []byte
}

// newEdited wraps c; without one it is nil.
func newEdited(c net.Conn, edit func(frame []byte) []byte) net.Conn {
	if c == nil {
		return nil
	}
	return &edited{Conn: c, from: bufio.NewReader(c), edit: edit}
}

func (e *edited) Read(b []byte) (int, error) {
	for len(e.rest) == 0 {
		head, err := e.from.Peek(7)
		if err != nil {
			return 0, err
		}
		frame := make([]byte, 7+binary.BigEndian.Uint32(head[3:])+1)
		if _, err := io.ReadFull(e.from, frame); err != nil {
			return 0, err
		}
		e.rest = e.edit(frame)
	}
	n := copy(b, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}
