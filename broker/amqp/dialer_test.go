package amqp_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/internal/testenv"
)

// with returns the URL of the test broker with other parts.
func with(t *testing.T, change func(*url.URL)) string {
	t.Helper()
	u, err := url.Parse(testenv.RabbitMQ(t))
	if err != nil {
		t.Fatal(err)
	}
	change(u)
	return u.String()
}

const secret = "s3cr3t-pa55"

func TestDialDenied(t *testing.T) {
	for name, u := range map[string]string{
		"wrong password": with(t, func(u *url.URL) { u.User = url.UserPassword("guest", secret) }),
		"unknown user":   with(t, func(u *url.URL) { u.User = url.UserPassword("nobody", secret) }),
		"missing vhost":  with(t, func(u *url.URL) { u.Path = "/no-such-vhost" }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := amqp.Dialer{URL: u}.Dial(t.Context())
			if !errors.Is(err, broker.ErrDenied) {
				t.Errorf("got %v, want ErrDenied", err)
			}
			want := broker.FaultDenied
			if strings.Contains(name, "vhost") {
				want = broker.FaultVhost
			}
			if got := broker.FaultOf(err); got != want {
				t.Errorf("got the fault %q, want %q", got, want)
			}
			wantNoSecret(t, err)
		})
	}
}

func wantNoSecret(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Error("got no error")
	} else if strings.Contains(err.Error(), "s3cr3t") || strings.Contains(err.Error(), "pa55") {
		t.Errorf("the error shows the password: %v", err)
	}
}

func TestDialBadURL(t *testing.T) {
	for _, u := range []string{
		"", "http://guest:" + secret + "@localhost/", "amqp://guest:s3cr3t/pa55@localhost/",
		"amqp://guest:" + secret + "@localhost:port/", "amqp://guest:" + secret + "@local host/",
		"amqp://guest:%zz" + secret + "@localhost/",
	} {
		_, err := amqp.Dialer{URL: u}.Dial(t.Context())
		wantNoSecret(t, err)
		if errors.Is(err, broker.ErrDenied) {
			t.Errorf("%q: got ErrDenied for a bad URL", u)
		}
	}
}

func TestDialBadOptions(t *testing.T) {
	_, err := amqp.Dialer{URL: "amqp://localhost", Heartbeat: time.Millisecond, ChannelSpan: -1, PublishWindow: -1}.Dial(t.Context())
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{"Heartbeat", "ChannelSpan", "PublishWindow"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
}

func TestDialNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	_, err = amqp.Dialer{URL: "amqp://guest:" + secret + "@" + addr + "/"}.Dial(t.Context())
	if errors.Is(err, broker.ErrDenied) || err == nil || !strings.Contains(err.Error(), addr) {
		t.Errorf("got %v, want an error that names %s and is not ErrDenied", err, addr)
	}
	if got := broker.FaultOf(err); got != broker.FaultUnreachable {
		t.Errorf("got the fault %q, want %q", got, broker.FaultUnreachable)
	}
	wantNoSecret(t, err)
}

// TestDialSilentPeer connects to one who never says a word.
func TestDialSilentPeer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err = amqp.Dialer{URL: "amqp://" + l.Addr().String()}.Dial(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the end of the context", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("Dial came back after %v", took)
	}
}

// TestDialDyingBroker: who hangs up during the login once, but cannot be reached
// afterwards, has not denied anything.
func TestDialDyingBroker(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		c, err := l.Accept()
		l.Close()
		if err == nil {
			c.Close()
		}
	}()
	_, err = amqp.Dialer{URL: "amqp://" + l.Addr().String()}.Dial(t.Context())
	if err == nil || errors.Is(err, broker.ErrDenied) {
		t.Errorf("got %v, want an error that is not ErrDenied", err)
	}
}

func TestConnectionNames(t *testing.T) {
	n := testenv.SharedNode(t)
	name := testenv.Name(t)
	s := dial(t, amqp.Dialer{URL: n.URL, ConnectionName: name})
	p := &broker.Publication{RoutingKey: name}
	if err := broker.PublishAndWait(t.Context(), s, p); !errors.Is(err, broker.ErrUnroutable) {
		t.Errorf("got %v, want ErrUnroutable", err)
	}
	out, err := n.Ctl(t.Context(), "list_connections", "client_properties")
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range []string{"consume", "publish"} {
		if !strings.Contains(out, name+" "+role) {
			t.Errorf("no connection is called %q:\n%s", name+" "+role, out)
		}
	}
}

// dial returns a session that is closed when t ends.
func dial(t *testing.T, d amqp.Dialer) broker.Session {
	t.Helper()
	s, err := d.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

func consume(t *testing.T, s broker.Session, q broker.Queue, credit int) broker.Consumer {
	t.Helper()
	c, err := s.Consume(t.Context(), broker.Source{Queue: q, Credit: credit})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func receive(t *testing.T, c broker.Consumer) *broker.Delivery {
	t.Helper()
	select {
	case d, ok := <-c.Deliveries():
		if !ok {
			t.Fatalf("deliveries ended: %v", c.Err())
		}
		return d
	case <-time.After(30 * time.Second):
		t.Fatal("no delivery")
	}
	return nil
}
