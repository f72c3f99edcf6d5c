package wire_test

import (
	"bytes"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// peer is the broker's side of a connection with amqp091-go, which follows a
// script: what it expects, and what it answers.
type peer struct {
	t    *testing.T
	conn net.Conn
	r    *wire.Reader
}

// withPeer runs script beside the test; the connection is closed after it.
func withPeer(t *testing.T, script func(*peer)) (client net.Conn) {
	t.Helper()
	client, server := net.Pipe()
	p := &peer{t: t, conn: server, r: wire.NewReader(server)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer server.Close()
		if err := p.r.ReadProtocolHeader(); err != nil {
			p.fatal(err)
		}
		script(p)
	}()
	t.Cleanup(func() {
		client.Close()
		<-done
	})
	return client
}

func (p *peer) fatal(args ...any) {
	p.t.Helper()
	p.t.Error(args...)
	p.conn.Close()
	runtime.Goexit()
}

func (p *peer) write(b []byte) {
	if _, err := p.conn.Write(b); err != nil {
		p.fatal("write:", err)
	}
}

func (p *peer) send(channel uint16, methods ...wire.Method) {
	for _, m := range methods {
		p.write(wire.AppendMethodFrame(nil, channel, m))
	}
}

// frame returns the next frame that is no heartbeat.
func (p *peer) frame() wire.Frame {
	for {
		f, err := p.r.ReadFrame()
		if err != nil {
			p.fatal("read:", err)
		}
		if f.Type != wire.FrameHeartbeat {
			return f
		}
	}
}

func (p *peer) method(channel uint16) wire.Method {
	f := p.frame()
	m, err := wire.ParseMethod(f.Payload)
	if err != nil || f.Channel != channel {
		p.fatal("channel", f.Channel, err)
	}
	return m
}

func (p *peer) expect(channel uint16, want wire.Method) {
	p.t.Helper()
	if diff := cmp.Diff(want, p.method(channel), sameValues); diff != "" {
		p.fatal("(-want +got):\n" + diff)
	}
}

// content returns the raw properties and the body of a message.
func (p *peer) content() (raw, body []byte) {
	h, err := wire.ParseContentHeader(p.frame().Payload)
	if err != nil {
		p.fatal(err)
	}
	raw = bytes.Clone(h.Raw)
	for uint64(len(body)) < h.BodySize {
		body = append(body, p.frame().Payload...)
	}
	return raw, body
}

// handshake is for scripts that are about something else. Channel 1 is open
// after it.
func (p *peer) handshake() {
	p.send(0, &wire.ConnectionStart{VersionMinor: 9, Mechanisms: "PLAIN", Locales: "en_US"})
	p.method(0)
	p.send(0, &wire.ConnectionTune{ChannelMax: 5, FrameMax: wire.MinFrameSize})
	p.expect(0, &wire.ConnectionTuneOk{ChannelMax: 5, FrameMax: wire.MinFrameSize})
	p.expect(0, &wire.ConnectionOpen{VirtualHost: "/"})
	p.send(0, &wire.ConnectionOpenOk{})
	p.expect(1, &wire.ChannelOpen{})
	p.send(1, &wire.ChannelOpenOk{})
}

func openChannel(t *testing.T, conn net.Conn) (*amqp.Connection, *amqp.Channel) {
	t.Helper()
	c, err := amqp.Open(conn, amqp.Config{SASL: []amqp.Authentication{&amqp.PlainAuth{}}, Vhost: "/"})
	if err != nil {
		t.Fatal(err)
	}
	ch, err := c.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return c, ch
}

// everyType is a table with a value of each type, for both libraries.
func everyType() wire.Table {
	return wire.Table{
		"t": true, "b": int8(-1), "B": uint8(200), "s": int16(-300), "u": uint16(60000),
		"I": int32(-70000), "i": uint32(4000000000), "l": int64(-5000000000),
		"f": float32(0.5), "d": 1e300, "D": wire.Decimal{Scale: 2, Value: -314},
		"S": "text é", "x": []byte{0, 255}, "T": time.Unix(1700000000, 0).UTC(),
		"A": []any{int32(1), "two", nil, []any{}, wire.Table{"in": "array"}},
		"F": wire.Table{"in": wire.Table{"table": false}},
		"V": nil,
	}
}

// foreign turns our value into amqp091-go's.
func foreign(v any) any {
	switch v := v.(type) {
	case wire.Table:
		t := amqp.Table{}
		for name, value := range v {
			t[name] = foreign(value)
		}
		return t
	case []any:
		var list []any
		for _, value := range v {
			list = append(list, foreign(value))
		}
		return list
	case wire.Decimal:
		return amqp.Decimal(v)
	}
	return v
}

func foreignTable(t wire.Table) amqp.Table { return foreign(t).(amqp.Table) }

func TestInteropHandshake(t *testing.T) {
	conn := withPeer(t, func(p *peer) {
		p.send(0, &wire.ConnectionStart{
			VersionMinor: 9, ServerProperties: everyType(), Mechanisms: "AMQPLAIN PLAIN", Locales: "en_US de_DE",
		})
		startOk := p.method(0).(*wire.ConnectionStartOk)
		delete(startOk.ClientProperties, "capabilities")
		credentials, err := wire.ParseTable([]byte(startOk.Response))
		if diff := cmp.Diff(wire.Table{"LOGIN": "guest", "PASSWORD": "secret"}, credentials); err != nil || diff != "" {
			p.fatal(err, diff)
		}
		startOk.Response = ""
		want := &wire.ConnectionStartOk{ClientProperties: everyType(), Mechanism: "AMQPLAIN", Locale: "en_US"}
		if diff := cmp.Diff(want, startOk, sameValues); diff != "" {
			p.fatal(diff)
		}
		p.send(0, &wire.ConnectionTune{ChannelMax: 100, FrameMax: 131072, Heartbeat: 60})
		p.expect(0, &wire.ConnectionTuneOk{ChannelMax: 7, FrameMax: 8192, Heartbeat: 30})
		p.expect(0, &wire.ConnectionOpen{VirtualHost: "/some where"})
		p.send(0, &wire.ConnectionOpenOk{})
		p.expect(0, &wire.ConnectionUpdateSecret{NewSecret: "new", Reason: "old"})
		p.send(0, &wire.ConnectionUpdateSecretOk{}, &wire.ConnectionBlocked{Reason: "low on disk"})
		p.write(wire.AppendHeartbeat(nil))
		p.send(0, &wire.ConnectionUnblocked{})
		p.expect(0, &wire.ConnectionClose{ReplyCode: 200, ReplyText: "kthxbai"})
		p.send(0, &wire.ConnectionCloseOk{})
	})
	c, err := amqp.Open(conn, amqp.Config{
		SASL:  []amqp.Authentication{&amqp.AMQPlainAuth{Username: "guest", Password: "secret"}},
		Vhost: "/some where", Properties: foreignTable(everyType()), Locale: "en_US",
		ChannelMax: 7, FrameSize: 8192, Heartbeat: 30 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	blocked := c.NotifyBlocked(make(chan amqp.Blocking, 2))
	if diff := cmp.Diff(foreignTable(everyType()), c.Properties, sameValues); diff != "" {
		t.Errorf("server properties (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"en_US", "de_DE"}, c.Locales); diff != "" {
		t.Errorf("locales (-want +got):\n%s", diff)
	}
	if err := c.UpdateSecret("new", "old"); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	var got []amqp.Blocking
	for b := range blocked {
		got = append(got, b)
	}
	if diff := cmp.Diff([]amqp.Blocking{{Active: true, Reason: "low on disk"}, {}}, got); diff != "" {
		t.Errorf("blocked (-want +got):\n%s", diff)
	}
}

// TestInteropErrors: what a close method says arrives in amqp091-go's error.
func TestInteropErrors(t *testing.T) {
	conn := withPeer(t, func(p *peer) {
		p.handshake()
		p.expect(1, &wire.QueueDeclare{Queue: "q", Passive: true})
		p.send(1, &wire.ChannelClose{
			ReplyCode: wire.CodeNotFound, ReplyText: wire.ReplyText(wire.CodeNotFound, "no queue 'q' in vhost '/'"),
			ClassID: wire.ClassQueue, MethodID: 10,
		})
		p.expect(1, &wire.ChannelCloseOk{})
		p.send(0, &wire.ConnectionClose{ReplyCode: wire.CodeConnectionForced, ReplyText: "CONNECTION_FORCED - bye"})
		p.expect(0, &wire.ConnectionCloseOk{})
	})
	c, ch := openChannel(t, conn)
	closed := c.NotifyClose(make(chan *amqp.Error, 1))
	_, err := ch.QueueDeclarePassive("q", false, false, false, false, nil)
	want := &amqp.Error{Code: 404, Reason: "NOT_FOUND - no queue 'q' in vhost '/'", Server: true, Recover: true}
	if diff := cmp.Diff(error(want), err); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want = &amqp.Error{Code: 320, Reason: "CONNECTION_FORCED - bye", Server: true}
	if diff := cmp.Diff(want, <-closed); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
