package embedded

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// refusedDelay is how long a client that failed to log in keeps its socket: it
// makes guessing slow.
const refusedDelay = 3 * time.Second

// module finds our version in the build.
const module = "github.com/magne-actors/magne-actors"

// errRefused ends a handshake after the client has been told why.
var errRefused = errors.New("embedded: handshake refused")

// capabilities are those of a client that change what we send.
type capabilities struct {
	authFailureClose, cancelNotify, blocked bool
}

func capabilitiesOf(properties wire.Table) capabilities {
	t, _ := properties["capabilities"].(wire.Table)
	has := func(name string) bool { b, _ := t[name].(bool); return b }
	return capabilities{
		authFailureClose: has("authentication_failure_close"),
		cancelNotify:     has("consumer_cancel_notify"),
		blocked:          has("connection.blocked"),
	}
}

func serverProperties() wire.Table {
	return wire.Table{
		"product":     "magne-actors embedded broker",
		"version":     version(),
		"platform":    runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH,
		"information": "https://" + module,
		"capabilities": wire.Table{
			"publisher_confirms":           true,
			"exchange_exchange_bindings":   true,
			"basic.nack":                   true,
			"consumer_cancel_notify":       true,
			"connection.blocked":           true,
			"consumer_priorities":          true,
			"authentication_failure_close": true,
			"per_consumer_qos":             true,
		},
	}
}

// version is the one of the module in the running program.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range append([]*debug.Module{&info.Main}, info.Deps...) {
		if m.Path == module && m.Version != "" {
			return m.Version
		}
	}
	return "(devel)"
}

// handshake takes a new connection to where it is open. The error says that it
// is not; the client has been told then as far as it can be.
func (c *conn) handshake() error {
	if err := c.nc.SetDeadline(time.Now().Add(c.b.o.Limits.Handshake)); err != nil {
		return err
	}
	err := c.negotiate()
	if err == nil {
		return c.nc.SetReadDeadline(time.Time{})
	}
	c.handshakeFailed(err)
	return err
}

func (c *conn) negotiate() error {
	if err := c.in.ReadProtocolHeader(); err != nil {
		if errors.Is(err, wire.ErrProtocolHeader) {
			c.out.raw([]byte(wire.ProtocolHeader))
		}
		return err
	}
	c.out.method(0, &wire.ConnectionStart{
		VersionMajor: 0, VersionMinor: 9, ServerProperties: serverProperties(),
		Mechanisms: mechanisms, Locales: "en_US",
	})
	if err := c.login(); err != nil {
		return err
	}
	if err := c.tune(); err != nil {
		return err
	}
	open, err := expect[*wire.ConnectionOpen](c, "opening")
	if err != nil {
		return err
	}
	if open.VirtualHost != "/" {
		return failf(wire.CodeNotAllowed, "vhost %s not found", open.VirtualHost).of(open)
	}
	if limit, ok := c.b.admit(c); !ok {
		return failf(wire.CodeNotAllowed, "access to vhost '/' refused for user '%s': connection limit (%d) is reached", c.user, limit).of(open)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended { // closed from outside meanwhile
		return errRefused
	}
	c.owner = c.b.engine.NewOwner()
	c.state.Store(stateRunning)
	c.out.method(0, &wire.ConnectionOpenOk{})
	return nil
}

// expect reads the next method, which must be an M. Heartbeats are welcome.
func expect[M wire.Method](c *conn, state string) (M, error) {
	var none M
	for {
		f, err := c.in.ReadFrame()
		if err != nil {
			return none, err
		}
		if f.Channel == 0 && f.Type == wire.FrameHeartbeat {
			continue
		}
		if f.Channel != 0 || f.Type != wire.FrameMethod {
			return none, failf(wire.CodeUnexpectedFrame, "type %d on channel %d in connection state %s", f.Type, f.Channel, state)
		}
		m, err := wire.ParseMethod(f.Payload)
		if err != nil {
			return none, atMethod(err, f.Payload)
		}
		switch m := m.(type) {
		case M:
			return m, nil
		case *wire.ConnectionClose: // a client that gives up
			c.out.method(0, &wire.ConnectionCloseOk{})
			return none, errRefused
		}
		return none, failf(wire.CodeChannelError, "unexpected method in connection state %s", state).of(m)
	}
}

func (c *conn) login() error {
	m, err := expect[*wire.ConnectionStartOk](c, "starting")
	if err != nil {
		return err
	}
	c.caps = capabilitiesOf(m.ClientProperties)
	c.name, _ = m.ClientProperties["connection_name"].(string)
	if c.name == "" {
		c.name, _ = m.ClientProperties["product"].(string)
	}
	user, password, f := credentials(m.Mechanism, []byte(m.Response))
	if f != nil {
		return f.of(m)
	}
	refused := c.b.auth.check(user, password, c.nc.RemoteAddr())
	if refused == "" {
		c.user = user
		return nil
	}
	c.log.Warn("login refused", "user", user, "mechanism", m.Mechanism, "reason", refused)
	if c.caps.authFailureClose {
		f := failf(wire.CodeAccessRefused, "Login was refused using authentication mechanism %s. For details see the broker logfile.", m.Mechanism)
		c.out.method(0, f.closeConnection())
	}
	c.awaitEnd(refusedDelay)
	return errRefused
}

// tune negotiates the limits of the connection.
func (c *conn) tune() error {
	l, beat := c.b.o.Limits, max(c.b.o.Heartbeat, 0)
	c.out.method(0, &wire.ConnectionTune{
		ChannelMax: uint16(l.Channels), FrameMax: uint32(l.FrameBytes), Heartbeat: uint16(beat / time.Second),
	})
	m, err := expect[*wire.ConnectionTuneOk](c, "tuning")
	if err != nil {
		return err
	}
	if f := negotiated("frame_max", "", m.FrameMax, wire.MinFrameSize, uint32(l.FrameBytes)); f != nil {
		return f
	}
	if f := negotiated("channel_max", " (no limit)", uint32(m.ChannelMax), 1, uint32(l.Channels)); f != nil {
		return f
	}
	c.frameMax, c.channelMax = m.FrameMax, int(m.ChannelMax)
	c.in.SetFrameMax(m.FrameMax)
	c.heartbeat = startHeartbeat(c, time.Duration(m.Heartbeat)*time.Second)
	return nil
}

// negotiated checks what a client chose, as RabbitMQ does: 0 would be no limit,
// and there is one.
func negotiated(field, zero string, got, lo, hi uint32) *failure {
	detail, bound, what, value := "", "higher", "maximum", hi
	switch {
	case got == 0:
		detail = zero
	case got < lo:
		bound, what, value = "lower", "minimum", lo
	case got <= hi:
		return nil
	}
	f := failf(wire.CodeNotAllowed, "negotiated %s = %d%s is %s than the %s allowed value (%d)", field, got, detail, bound, what, value)
	return f.of(&wire.ConnectionTune{})
}

// handshakeFailed tells the client why, if it can be told, and the log.
func (c *conn) handshakeFailed(err error) {
	c.heartbeat.stop()
	f, _ := failureOf(err)
	switch {
	case errors.Is(err, errRefused):
		return
	case errors.Is(err, io.EOF): // a look whether the port is open
		c.log.Debug("connection closed before the handshake was complete")
		return
	case f == nil || errors.Is(err, wire.ErrProtocolHeader):
		c.log.Warn("handshake failed", "err", err)
		return
	}
	c.log.Warn("handshake failed", "user", c.user, "err", f)
	c.out.method(0, f.closeConnection())
	c.awaitEnd(closeWait)
}

// awaitEnd reads until the client answers connection.close or is gone, or wait
// is over.
func (c *conn) awaitEnd(wait time.Duration) {
	_ = c.nc.SetReadDeadline(time.Now().Add(wait)) // a socket that is closed takes none
	for {
		f, err := c.in.ReadFrame()
		if err != nil {
			return
		}
		if f.Type != wire.FrameMethod {
			continue
		}
		if m, err := wire.ParseMethod(bytes.Clone(f.Payload)); err == nil {
			if _, ok := m.(*wire.ConnectionCloseOk); ok {
				return
			}
		}
	}
}
