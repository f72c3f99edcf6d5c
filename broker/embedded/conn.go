package embedded

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/engine"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// What a connection is doing. It only rises, but for running and blocked.
const (
	stateOpening int32 = iota
	stateRunning
	stateBlocked // not read until publishers may go on
	stateClosing // one of both said close
)

// closeWait is how long a client may take to answer connection.close, and to
// close its socket after connection.close-ok.
const closeWait = 2 * time.Second

// conn is a connection. Its reader goroutine, which is run, does what the client
// asks; its writer goroutine is out's. mu makes room for the others between two
// frames: the sweeper, Close and the faults.
type conn struct {
	b    *Broker
	id   uint64
	nc   net.Conn
	log  *slog.Logger
	out  *out
	in   *wire.Reader
	read atomic.Uint64 // reads that returned something
	busy atomic.Bool   // the reader is not at the socket

	pending bool // counts in b.pending; under the mutex of b

	since time.Time
	state atomic.Int32
	user  string // as the next ones, from the handshake on
	name  string
	caps  capabilities

	frameMax   uint32
	channelMax int
	heartbeat  *heartbeat

	mu        sync.Mutex
	parser    wire.Parser
	owner     *engine.Owner
	channels  map[uint16]*channel
	assembled int  // bytes of contents that are not whole
	throttled bool // has published while publishers are to wait

	open  atomic.Int32  // channels
	stop  chan struct{} // closed when the connection is about to end
	ended bool          // stop is closed; under mu, as the next one
	kill  *time.Timer   // for a client that does not let us end it
}

func newConn(b *Broker, nc net.Conn) *conn {
	c := &conn{
		b: b, nc: nc, since: time.Now(), out: newOut(b.o.Limits.BufferBytes),
		channels: map[uint16]*channel{}, stop: make(chan struct{}),
		log: b.log.With("remote", remote(nc)),
	}
	c.in = wire.NewReader(countingReader{c})
	return c
}

// countingReader notes for the heartbeats that something came.
type countingReader struct{ c *conn }

func (r countingReader) Read(p []byte) (int, error) {
	n, err := r.c.nc.Read(p)
	if n > 0 {
		r.c.read.Add(1)
	}
	return n, err
}

// run serves the connection until it ends, and leaves nothing behind.
func (c *conn) run() {
	var writer sync.WaitGroup
	writer.Go(func() {
		if err := c.out.run(c.nc, c.writeTimeout); err != nil {
			c.nc.Close() // so that the reader hears of it
		}
	})
	err := c.handshake()
	if err == nil {
		c.log.Debug("connection opened", "user", c.user, "name", c.name)
		err = c.serve()
	}
	c.finish(err)
	c.out.end()
	writer.Wait()
	if f, _ := failureOf(err); err == nil || f != nil {
		c.linger()
	}
	c.kill.Stop()
	c.nc.Close()
}

// writeTimeout is short when nobody will wait.
func (c *conn) writeTimeout() time.Duration {
	if c.state.Load() == stateClosing {
		return closeWait
	}
	return c.b.o.Limits.Write
}

// serve does what the client asks until the connection is to be closed. The
// error is nil if both agreed on that.
func (c *conn) serve() error {
	c.busy.Store(true)
	for {
		c.out.drained()
		c.throttle()
		c.busy.Store(false)
		f, err := c.in.ReadFrame()
		c.busy.Store(true) // to write a journal, or to wait for dead letters, takes time
		if err != nil {
			return err
		}
		done, err := c.frame(f)
		if done || err != nil {
			return err
		}
	}
}

// errClosed ends serve when the client has answered or sent connection.close.
var errClosed = errors.New("embedded: connection closed")

// frame handles one frame, and says whether it was the last.
func (c *conn) frame(f wire.Frame) (done bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.Channel == 0 {
		err = c.frame0(f)
	} else if c.state.Load() != stateClosing {
		err = c.channelFrame(f)
	}
	if errors.Is(err, errClosed) {
		return true, nil
	}
	if err == nil {
		return false, nil
	}
	fail, internal := failureOf(err)
	if fail == nil {
		return false, err
	}
	if internal {
		c.log.Error("internal error", "err", err)
	}
	c.fail(fail)
	return false, nil
}

// frame0 handles a frame of channel 0.
func (c *conn) frame0(f wire.Frame) error {
	closing := c.state.Load() == stateClosing
	switch f.Type {
	case wire.FrameHeartbeat:
		return nil
	case wire.FrameMethod:
	default:
		if closing {
			return nil
		}
		return failf(wire.CodeUnexpectedFrame, "type %d on channel 0", f.Type)
	}
	m, err := wire.ParseMethod(f.Payload)
	if err != nil {
		if closing {
			return nil
		}
		return atMethod(err, f.Payload)
	}
	switch m.(type) {
	case *wire.ConnectionClose:
		c.closeChannels()
		c.owner.Close()
		c.state.Store(stateClosing)
		c.out.method(0, &wire.ConnectionCloseOk{})
		return errClosed
	case *wire.ConnectionCloseOk:
		if closing {
			return errClosed
		}
	}
	if closing {
		return nil
	}
	if _, ok := m.(*wire.ConnectionUpdateSecret); ok {
		return failf(wire.CodeNotAllowed, "New secret was refused by one of the backends").of(m)
	}
	return failf(wire.CodeChannelError, "unexpected method in connection state running").of(m)
}

// fail closes the connection with an error of AMQP. mu is held.
func (c *conn) fail(f *failure) {
	if c.state.Load() == stateClosing {
		return
	}
	c.log.Warn("connection closed with an error", "user", c.user, "err", f)
	c.close(f)
}

// close says connection.close, after which the client may only answer. mu is
// held.
func (c *conn) close(f *failure) {
	c.closeChannels()
	c.owner.Close() // exclusive queues are gone when the client hears of it
	c.state.Store(stateClosing)
	c.out.method(0, f.closeConnection())
	c.endLocked()
	c.lastReads()
}

// force closes a connection from outside. It reports false if the connection is
// ending already.
func (c *conn) force(f *failure) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ended || c.state.Load() == stateClosing:
		return false
	case c.state.Load() == stateOpening:
		c.endLocked()
		c.nc.Close()
	default:
		c.close(f)
	}
	return true
}

// drop closes the socket without a word. It reports false if the connection was
// ending already.
func (c *conn) drop() bool {
	c.nc.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.ended
	c.endLocked()
	return !was
}

func (c *conn) endLocked() {
	if !c.ended {
		c.ended = true
		close(c.stop)
		c.kill = time.AfterFunc(2*closeWait, func() { c.nc.Close() })
	}
}

func (c *conn) closeChannels() {
	for _, ch := range c.channels {
		ch.end()
	}
	clear(c.channels)
	c.open.Store(0)
	c.assembled = 0
}

// finish says farewell after err, and gives back what the client had.
func (c *conn) finish(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	opened := c.owner != nil
	if f, _ := failureOf(err); err != nil && f != nil && opened {
		c.fail(f) // the bytes were no frames: no answer can be read
	}
	if opened {
		clean := err == nil || c.state.Load() == stateClosing
		c.closeChannels()
		c.owner.Close()
		c.heartbeat.stop()
		if clean {
			c.log.Debug("connection closed", "user", c.user)
		} else {
			c.log.Warn("connection lost", "user", c.user, "err", c.reason(err))
		}
	}
	c.state.Store(stateClosing)
	c.endLocked()
	c.lastReads()
}

// lastReads lets the client read and answer for closeWait. A socket that does not
// take a deadline is closed: then there is nothing to wait for.
func (c *conn) lastReads() {
	_ = c.nc.SetReadDeadline(time.Now().Add(closeWait))
}

// reason says why a connection was lost.
func (c *conn) reason(err error) string {
	switch {
	case c.heartbeat.missed():
		return "missed heartbeats from client"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "client unexpectedly closed the connection"
	}
	return err.Error()
}

// linger reads until the client has closed its side, so that it finds what was
// written last: closing a socket with unread input would destroy that.
func (c *conn) linger() {
	if w, ok := c.nc.(interface{ CloseWrite() error }); ok {
		if w.CloseWrite() != nil {
			return
		}
	}
	_, _ = io.Copy(io.Discard, c.nc) // ends with the deadline of finish
}

func (c *conn) status() ConnectionStatus {
	s := ConnectionStatus{
		ID: c.id, Remote: remote(c.nc), Since: c.since,
		Channels: int(c.open.Load()), Buffered: c.out.buffered(),
	}
	state := c.state.Load()
	s.State = [...]string{"opening", "running", "blocked", "closing"}[state]
	if state != stateOpening { // the handshake does not change them any more
		s.User, s.Name = c.user, c.name
	}
	return s
}

// remote is the address of a client as it is logged.
func remote(nc net.Conn) string {
	if a := nc.RemoteAddr(); a != nil && a.String() != "" {
		return a.String()
	}
	return "local"
}
