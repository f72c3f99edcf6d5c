package embedded_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/magne-actors/magne-actors/broker/embedded"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// raw is a client that says what it likes.
type raw struct {
	t  testing.TB
	nc net.Conn
	in *wire.Reader
}

func rawDial(t testing.TB, b *embedded.Broker) *raw {
	t.Helper()
	nc, err := b.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return newRaw(t, nc)
}

func newRaw(t testing.TB, nc net.Conn) *raw {
	t.Helper()
	t.Cleanup(func() { nc.Close() })
	r := &raw{t: t, nc: nc, in: wire.NewReader(nc)}
	r.in.SetFrameMax(1 << 20)
	return r
}

func (r *raw) write(b []byte) {
	r.t.Helper()
	if _, err := r.nc.Write(b); err != nil {
		r.t.Fatal(err)
	}
}

func (r *raw) send(channel uint16, methods ...wire.Method) {
	r.t.Helper()
	var b []byte
	for _, m := range methods {
		b = wire.AppendMethodFrame(b, channel, m)
	}
	r.write(b)
}

// next returns the next frame that is no heartbeat.
func (r *raw) next() (wire.Frame, error) {
	for {
		f, err := r.in.ReadFrame()
		if err != nil || f.Type != wire.FrameHeartbeat {
			return f, err
		}
	}
}

// recv returns the next method and its channel.
func (r *raw) recv() (uint16, wire.Method) {
	r.t.Helper()
	f, err := r.next()
	if err != nil {
		r.t.Fatalf("no method: %v", err)
	}
	if f.Type != wire.FrameMethod {
		r.t.Fatalf("frame of type %d, want a method", f.Type)
	}
	m, err := wire.ParseMethod(f.Payload)
	if err != nil {
		r.t.Fatal(err)
	}
	return f.Channel, m
}

// want fails unless the next methods are these, on the channel.
func (r *raw) want(channel uint16, methods ...wire.Method) {
	r.t.Helper()
	for _, want := range methods {
		got, m := r.recv()
		if diff := cmp.Diff(want, m); diff != "" || got != channel {
			r.t.Fatalf("on channel %d (-want +got):\n%s", got, diff)
		}
	}
}

// wantEOF fails unless the broker has closed the connection.
func (r *raw) wantEOF() {
	r.t.Helper()
	if f, err := r.next(); !errors.Is(err, io.EOF) {
		r.t.Fatalf("got %+v, %v, want EOF", f, err)
	}
}

// login goes as far as connection.tune.
func (r *raw) login() *wire.ConnectionTune {
	r.t.Helper()
	r.write([]byte(wire.ProtocolHeader))
	if _, m := r.recv(); m.Name() != "connection.start" {
		r.t.Fatalf("got %s", m.Name())
	}
	r.send(0, startOk("PLAIN", "\x00guest\x00guest"))
	_, m := r.recv()
	tune, ok := m.(*wire.ConnectionTune)
	if !ok {
		r.t.Fatalf("got %s", m.Name())
	}
	return tune
}

var allCapabilities = wire.Table{"capabilities": wire.Table{
	"authentication_failure_close": true, "consumer_cancel_notify": true, "connection.blocked": true,
}}

func startOk(mechanism, response string) *wire.ConnectionStartOk {
	return &wire.ConnectionStartOk{ClientProperties: allCapabilities, Mechanism: mechanism, Response: response, Locale: "en_US"}
}

// open opens the connection.
func (r *raw) open(heartbeat time.Duration) {
	r.t.Helper()
	tune := r.login()
	r.send(0, &wire.ConnectionTuneOk{ChannelMax: tune.ChannelMax, FrameMax: tune.FrameMax, Heartbeat: uint16(heartbeat / time.Second)}, &wire.ConnectionOpen{VirtualHost: "/"})
	r.want(0, &wire.ConnectionOpenOk{})
}

// channel opens a channel.
func (r *raw) channel(id uint16) {
	r.t.Helper()
	r.send(id, &wire.ChannelOpen{})
	r.want(id, &wire.ChannelOpenOk{})
}

func rawChannel(t testing.TB, b *embedded.Broker) *raw {
	t.Helper()
	r := rawDial(t, b)
	r.open(0)
	r.channel(1)
	return r
}

// publish sends a message to the default exchange.
func (r *raw) publish(channel uint16, m *wire.BasicPublish, props wire.Properties, body string) {
	r.t.Helper()
	p, err := props.AppendRaw(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	b := wire.AppendMethodFrame(nil, channel, m)
	r.write(wire.AppendContent(b, channel, wire.ClassBasic, p, []byte(body), 4096))
}

// content reads a header and the body.
func (r *raw) content() string {
	r.t.Helper()
	f, err := r.next()
	if err != nil || f.Type != wire.FrameHeader {
		r.t.Fatalf("got %+v, %v, want a header", f, err)
	}
	h, err := wire.ParseContentHeader(f.Payload)
	if err != nil {
		r.t.Fatal(err)
	}
	var body []byte
	for uint64(len(body)) < h.BodySize {
		f, err := r.next()
		if err != nil || f.Type != wire.FrameBody {
			r.t.Fatalf("got %+v, %v, want a body", f, err)
		}
		body = append(body, f.Payload...)
	}
	return string(body)
}

func channelClose(code uint16, text string, m wire.Method) *wire.ChannelClose {
	c := &wire.ChannelClose{ReplyCode: code, ReplyText: text}
	if m != nil {
		c.ClassID, c.MethodID = m.ID()
	}
	return c
}

func connectionClose(code uint16, text string, m wire.Method) *wire.ConnectionClose {
	c := &wire.ConnectionClose{ReplyCode: code, ReplyText: text}
	if m != nil {
		c.ClassID, c.MethodID = m.ID()
	}
	return c
}
