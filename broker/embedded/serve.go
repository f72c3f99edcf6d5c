package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// pendingConnections is how many connections may be in their handshake beside
// the open ones; of more the oldest are closed.
const pendingConnections = 256

// Serve accepts connections from l, which it closes, until ctx ends, l fails or
// the broker is closed. TLS is the listener's. When it returns, the connections
// that it accepted have been told (320 CONNECTION_FORCED) and are closed. It
// returns nil if ctx ended, ErrClosed after Close, and else what l said.
func (b *Broker) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(b.ctx, cancel)() //nolint:contextcheck // either of the two ends it
	defer context.AfterFunc(ctx, func() { l.Close() })()

	var mine served
	err := b.accept(l, &mine) //nolint:contextcheck // connections outlive their accept, and end with b
	mine.end()
	switch {
	case b.ctx.Err() != nil:
		return ErrClosed
	case ctx.Err() != nil:
		return nil
	}
	return fmt.Errorf("embedded: accept: %w", err)
}

// accept serves connections until l fails for good.
func (b *Broker) accept(l net.Listener, s *served) error {
	for pause := time.Duration(0); ; {
		nc, err := l.Accept()
		if err != nil {
			if !isTemporary(err) {
				return err
			}
			// No file descriptor is free, for example: more will be in a moment.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			b.log.Warn("accept failed", "err", err, "retry", pause)
			select {
			case <-time.After(pause):
				continue
			case <-b.ctx.Done():
				return err
			}
		}
		pause = 0
		if err := b.start(nc, s); err != nil {
			b.log.Warn("connection refused", "remote", remote(nc), "err", err)
			nc.Close()
		}
	}
}

func isTemporary(err error) bool {
	t, ok := errors.AsType[interface {
		error
		Temporary() bool
	}](err)
	return ok && t.Temporary() && !errors.Is(err, net.ErrClosed)
}

// served has the connections of one Serve.
type served struct {
	mu      sync.Mutex
	conns   map[*conn]struct{}
	running sync.WaitGroup
}

// end closes them and waits.
func (s *served) end() {
	s.mu.Lock()
	for c := range s.conns {
		s.running.Go(func() { c.force(failf(wire.CodeConnectionForced, shutdownText)) })
	}
	s.mu.Unlock()
	s.running.Wait()
}

// Dial connects to the broker within the process: amqp091.Config.Dial takes the
// result. The connection buffers as a socket does and has deadlines. Its
// address counts as this machine's. Dial does not wait; it returns ErrClosed
// after Close, or the error of ctx.
func (b *Broker) Dial(ctx context.Context) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	client, server := newPipe()
	if err := b.start(server, nil); err != nil { //nolint:contextcheck // ctx is for the dialling only
		return nil, err
	}
	return client, nil
}

// start serves nc in goroutines of its own.
func (b *Broker) start(nc net.Conn, s *served) error {
	c := newConn(b, nc)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrClosed
	}
	b.accepted++
	c.id = b.accepted
	if s != nil {
		if b.pending >= pendingConnections {
			b.evict()
		}
		c.pending = true
		b.pending++
		s.add(c)
	}
	b.conns[c] = struct{}{}
	b.running.Go(func() {
		defer b.gone(c, s)
		c.run()
	})
	return nil
}

// evict ends the connection that has been in its handshake for longest, so that
// those who say nothing do not keep out those who do. b.mu is held.
func (b *Broker) evict() {
	var oldest *conn
	for c := range b.conns {
		if c.pending && (oldest == nil || c.id < oldest.id) {
			oldest = c
		}
	}
	oldest.pending = false
	b.pending--
	oldest.log.Warn("connection ended in its handshake: too many others are in theirs", "limit", pendingConnections)
	b.running.Go(func() { oldest.drop() })
}

func (s *served) add(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		s.conns = map[*conn]struct{}{}
	}
	s.conns[c] = struct{}{}
	s.running.Add(1)
}

func (b *Broker) gone(c *conn, s *served) {
	b.mu.Lock()
	delete(b.conns, c)
	if c.pending {
		b.pending--
	}
	b.mu.Unlock()
	if s != nil {
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		s.running.Done()
	}
}

// admit counts a connection as open, unless there are too many.
func (b *Broker) admit(c *conn) (limit int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	limit = b.o.Limits.Connections
	others := len(b.conns) - b.pending
	if !c.pending {
		others-- // one of Dial
	}
	if others >= limit {
		return limit, false
	}
	if c.pending {
		c.pending = false
		b.pending--
	}
	return limit, true
}

// connections returns those that there are now.
func (b *Broker) connections() []*conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]*conn, 0, len(b.conns))
	for c := range b.conns {
		all = append(all, c)
	}
	return all
}

// Close tells all connections (320 CONNECTION_FORCED), waits a moment for their
// last words, closes them, and writes what is pending to the log. Deliveries in
// flight return to their queues. A second Close does nothing.
func (b *Broker) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.closed = true
	b.mu.Unlock()
	b.o.Faults.detach()
	b.cancel()
	for _, c := range b.connections() {
		b.running.Go(func() { c.force(failf(wire.CodeConnectionForced, shutdownText)) })
	}
	b.running.Wait()
	return b.engine.Close()
}

// sweep looks for deliveries that nobody acknowledges, until Close.
func (b *Broker) sweep() {
	if b.o.ConsumerTimeout < 0 {
		return
	}
	ticker := time.NewTicker(min(max(b.o.ConsumerTimeout/10, 10*time.Millisecond), time.Minute))
	defer ticker.Stop()
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-ticker.C:
			for _, c := range b.connections() {
				c.sweep()
			}
		}
	}
}
