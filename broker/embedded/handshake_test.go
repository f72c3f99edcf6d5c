package embedded_test

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

func TestWrongProtocol(t *testing.T) {
	b := open(t, embedded.Options{})
	for _, header := range []string{"AMQP\x00\x01\x00\x00", "GET / HTTP/1.1\r\n\r\n"} {
		r := rawDial(t, b)
		r.write([]byte(header))
		answer, err := io.ReadAll(r.nc)
		if err != nil || string(answer) != wire.ProtocolHeader {
			t.Errorf("%q: got %q, %v", header, answer, err)
		}
	}
}

func TestServerProperties(t *testing.T) {
	r := rawDial(t, open(t, embedded.Options{}))
	r.write([]byte(wire.ProtocolHeader))
	_, m := r.recv()
	start, ok := m.(*wire.ConnectionStart)
	if !ok || start.VersionMajor != 0 || start.VersionMinor != 9 || start.Mechanisms != "AMQPLAIN PLAIN" || start.Locales != "en_US" {
		t.Fatalf("got %+v", m)
	}
	caps, _ := start.ServerProperties["capabilities"].(wire.Table)
	for _, name := range []string{
		"publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify",
		"connection.blocked", "consumer_priorities", "authentication_failure_close", "per_consumer_qos",
	} {
		if caps[name] != true {
			t.Errorf("capability %s: %v", name, caps[name])
		}
	}
	if _, ok := caps["direct_reply_to"]; ok {
		t.Error("direct_reply_to is not implemented")
	}
	if start.ServerProperties["version"] == "" || start.ServerProperties["product"] != "magne-actors embedded broker" {
		t.Errorf("properties %v", start.ServerProperties)
	}
}

// TestHandshakeErrors: what is wrong in a handshake is said in connection.close.
func TestHandshakeErrors(t *testing.T) {
	tuneOk := func(channels uint16, frame uint32) wire.Method {
		return &wire.ConnectionTuneOk{ChannelMax: channels, FrameMax: frame}
	}
	refused := "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile."
	for name, c := range map[string]struct {
		methods []wire.Method
		tune    bool // the last method comes after connection.tune
		want    *wire.ConnectionClose
	}{
		"password":  {[]wire.Method{startOk("PLAIN", "\x00guest\x00wrong")}, false, connectionClose(403, refused, nil)},
		"user":      {[]wire.Method{startOk("PLAIN", "\x00nobody\x00guest")}, false, connectionClose(403, refused, nil)},
		"response":  {[]wire.Method{startOk("PLAIN", "guest")}, false, connectionClose(502, "SYNTAX_ERROR - PLAIN: invalid response", &wire.ConnectionStartOk{})},
		"amqplain":  {[]wire.Method{startOk("AMQPLAIN", "x")}, false, connectionClose(502, "SYNTAX_ERROR - AMQPLAIN: invalid response", &wire.ConnectionStartOk{})},
		"fields":    {[]wire.Method{startOk("AMQPLAIN", "")}, false, connectionClose(502, "SYNTAX_ERROR - AMQPLAIN auth info is missing LOGIN or PASSWORD field", &wire.ConnectionStartOk{})},
		"mechanism": {[]wire.Method{startOk("SCRAM", "")}, false, connectionClose(503, "COMMAND_INVALID - unknown authentication mechanism 'SCRAM'", &wire.ConnectionStartOk{})},
		"state": {
			[]wire.Method{&wire.ConnectionOpen{VirtualHost: "/"}},
			false,
			connectionClose(504, "CHANNEL_ERROR - unexpected method in connection state starting", &wire.ConnectionOpen{}),
		},
		"no frame max": {
			[]wire.Method{tuneOk(10, 0)},
			true,
			connectionClose(530, "NOT_ALLOWED - negotiated frame_max = 0 is higher than the maximum allowed value (131072)", &wire.ConnectionTune{}),
		},
		"small frame max": {
			[]wire.Method{tuneOk(10, 4095)},
			true,
			connectionClose(530, "NOT_ALLOWED - negotiated frame_max = 4095 is lower than the minimum allowed value (4096)", &wire.ConnectionTune{}),
		},
		"large frame max": {
			[]wire.Method{tuneOk(10, 131073)},
			true,
			connectionClose(530, "NOT_ALLOWED - negotiated frame_max = 131073 is higher than the maximum allowed value (131072)", &wire.ConnectionTune{}),
		},
		"channel max": {
			[]wire.Method{tuneOk(0, 4096)},
			true,
			connectionClose(530, "NOT_ALLOWED - negotiated channel_max = 0 (no limit) is higher than the maximum allowed value (2047)", &wire.ConnectionTune{}),
		},
		"vhost": {
			[]wire.Method{tuneOk(10, 4096), &wire.ConnectionOpen{VirtualHost: "other"}},
			true,
			connectionClose(530, "NOT_ALLOWED - vhost other not found", &wire.ConnectionOpen{}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := rawDial(t, open(t, embedded.Options{}))
			if c.tune {
				r.login()
			} else {
				r.write([]byte(wire.ProtocolHeader))
				r.recv()
			}
			r.send(0, c.methods...)
			r.want(0, c.want)
			r.send(0, &wire.ConnectionCloseOk{})
			r.wantEOF()
		})
	}
}

// TestAMQPLAIN logs in by the other mechanism.
func TestAMQPLAIN(t *testing.T) {
	r := rawDial(t, open(t, embedded.Options{}))
	fields, err := wire.AppendTable(nil, wire.Table{"LOGIN": "guest", "PASSWORD": "guest"})
	if err != nil {
		t.Fatal(err)
	}
	r.write([]byte(wire.ProtocolHeader))
	r.recv()
	r.send(0, startOk("AMQPLAIN", string(fields)))
	if _, m := r.recv(); m.Name() != "connection.tune" {
		t.Errorf("got %s", m.Name())
	}
}

// TestSilentRefusal: a client without authentication_failure_close is told
// nothing, and only after a while.
func TestSilentRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, embedded.Options{})
		r := rawDial(t, b)
		r.write([]byte(wire.ProtocolHeader))
		r.recv()
		start := time.Now()
		r.send(0, &wire.ConnectionStartOk{Mechanism: "PLAIN", Response: "\x00guest\x00no"})
		r.wantEOF()
		if d := time.Since(start); d < 3*time.Second {
			t.Errorf("refused after %v", d)
		}
	})
}

// TestHandshakeDeadline: who does not come to connection.open is cut off.
func TestHandshakeDeadline(t *testing.T) {
	for name, say := range map[string]string{"nothing": "", "some": wire.ProtocolHeader, "slow": wire.ProtocolHeader + "\x01\x00"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := open(t, embedded.Options{Limits: embedded.Limits{Handshake: 7 * time.Second}})
				r := rawDial(t, b)
				r.write([]byte(say))
				start := time.Now()
				for {
					if _, err := r.next(); err != nil {
						break
					}
				}
				if d := time.Since(start); d != 7*time.Second {
					t.Errorf("cut off after %v, want 7s", d)
				}
			})
		})
	}
}

// TestGiveUp: a client may close a connection before it is open.
func TestGiveUp(t *testing.T) {
	r := rawDial(t, open(t, embedded.Options{}))
	r.login()
	r.send(0, &wire.ConnectionClose{ReplyCode: 200})
	r.want(0, &wire.ConnectionCloseOk{})
	r.wantEOF()
}

// TestConnectionLimit: the one too many is told so, and the next is welcome.
func TestConnectionLimit(t *testing.T) {
	b := open(t, embedded.Options{Limits: embedded.Limits{Connections: 1}})
	first := rawDial(t, b)
	first.open(0)
	second := rawDial(t, b)
	second.login()
	second.send(0, &wire.ConnectionTuneOk{ChannelMax: 1, FrameMax: 4096}, &wire.ConnectionOpen{VirtualHost: "/"})
	second.want(0, connectionClose(530, "NOT_ALLOWED - access to vhost '/' refused for user 'guest': connection limit (1) is reached", &wire.ConnectionOpen{}))
	first.send(0, &wire.ConnectionClose{ReplyCode: 200})
	first.want(0, &wire.ConnectionCloseOk{})
	first.wantEOF()
	first.nc.Close()
	second.nc.Close()
	settled(t, func() bool { return len(b.Status().Connections) == 0 })
	rawDial(t, b).open(0)
}

// TestPendingLimit: those that never log in make way for others, the oldest first,
// and Dial is not their concern.
func TestPendingLimit(t *testing.T) {
	b := open(t, embedded.Options{})
	addr := listen(t, b)
	silent := func() *raw {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		return newRaw(t, nc)
	}
	first := silent()
	settled(t, func() bool { return len(b.Status().Connections) == 1 })
	for range 255 {
		silent()
	}
	settled(t, func() bool { return len(b.Status().Connections) == 256 })
	rawDial(t, b).open(0)
	dialTCP(t, addr)
	first.nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := first.nc.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the oldest: %v", err)
	}
}
