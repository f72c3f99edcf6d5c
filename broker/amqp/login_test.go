package amqp_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/internal/testenv"
)

// TestNoPasswordInErrors: whatever the password is, and however badly the URL is
// written, no error of a dial shows it, nor a piece of it.
func TestNoPasswordInErrors(t *testing.T) {
	piece := rapid.StringMatching(`[a-zA-Z0-9]{6,12}`)
	rapid.Check(t, func(t *rapid.T) {
		pieces := rapid.SliceOfN(piece, 1, 3).Draw(t, "pieces")
		password := strings.Join(pieces, rapid.SampledFrom([]string{"", "@", "/", ":", "#", "?", "%", "[", " ", "\x00"}).Draw(t, "between"))
		written := password
		if rapid.Bool().Draw(t, "encoded") {
			written = strings.ReplaceAll(url.QueryEscape(password), "+", "%20")
		}
		sent := password // by the dialer: a "%" that was not encoded may begin a valid escape
		if unescaped, err := url.PathUnescape(written); err == nil {
			sent = unescaped
		}
		d := amqp.Dialer{
			URL: rapid.SampledFrom([]string{"amqp", "amqps", "http"}).Draw(t, "scheme") + "://user:" + written +
				"@127.0.0.1" + rapid.SampledFrom([]string{"", ":5672", ":x", ":99999"}).Draw(t, "port") + rapid.SampledFrom([]string{"", "/", "/v", "/v/w"}).Draw(t, "vhost"),
			RequireTLS: rapid.Bool().Draw(t, "TLS"),
			NetDial: func(context.Context, string, string) (net.Conn, error) {
				return nil, fmt.Errorf("a proxy that quotes %s", sent)
			},
		}
		if rapid.Bool().Draw(t, "login") {
			sent = password
			d.Login = func(context.Context) (string, string, error) { return "user", password, nil }
		}
		_, err := d.Dial(t.Context())
		if err == nil {
			t.Fatal("dialled nothing without an error")
		}
		for _, p := range append(pieces, password) {
			if strings.Contains(err.Error(), p) {
				t.Errorf("the error shows %q: %v", p, err)
			}
		}
	})
}

func TestRequireTLS(t *testing.T) {
	_, err := amqp.Dialer{URL: "amqp://127.0.0.1:1/", RequireTLS: true}.Dial(t.Context())
	if err == nil || !strings.Contains(err.Error(), "TLS is required") {
		t.Errorf("got %v", err)
	}
}

// TestRotation: the password is changed on the broker and where Login reads it;
// the next dial uses the new one.
func TestRotation(t *testing.T) {
	n := testenv.SharedNode(t)
	ctl := func(args ...string) {
		t.Helper()
		if _, err := n.Ctl(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
	user := strings.ReplaceAll(testenv.Name(t), ".", "-")
	ctl("add_user", user, "first-secret")
	defer ctl("delete_user", user)
	ctl("set_permissions", user, ".*", ".*", ".*")
	var password atomic.Pointer[string]
	password.Store(new("first-secret"))
	d := amqp.Dialer{URL: n.URL, Login: func(context.Context) (string, string, error) { return user, *password.Load(), nil }}
	s := dial(t, d)
	if err := s.Declare(t.Context(), broker.Queue{Name: testenv.Name(t)}); err != nil {
		t.Error(err)
	}
	ctl("change_password", user, "second-secret")
	_, err := d.Dial(t.Context())
	if !errors.Is(err, broker.ErrDenied) || strings.Contains(err.Error(), "first-secret") {
		t.Errorf("with the old password: %v", err)
	}
	password.Store(new("second-secret"))
	dial(t, d)
	failing := errors.New("the file is gone")
	d.Login = func(context.Context) (string, string, error) { return "", "", failing }
	if _, err := d.Dial(t.Context()); !errors.Is(err, failing) {
		t.Errorf("without a password: %v", err)
	}
}

// TestOneConnection consumes and publishes on one connection, which ends in good
// order.
func TestOneConnection(t *testing.T) {
	var dials atomic.Int64
	d := amqp.Dialer{URL: testenv.RabbitMQ(t), OneConnection: true, NetDial: func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	s := dial(t, d)
	q := broker.Queue{Name: testenv.Name(t)}
	c := consume(t, s, q, 10)
	for range 20 {
		if err := broker.PublishAndWait(t.Context(), s, &broker.Publication{RoutingKey: q.Name, Body: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		if err := c.Settle(receive(t, c).Tag, broker.Ack); err != nil {
			t.Fatal(err)
		}
	}
	if n := dials.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	if err := s.Close(t.Context()); err != nil || s.Err() != nil {
		t.Errorf("Close: %v, Err: %v", err, s.Err())
	}
}

// TestExternal logs in by certificate: mutual TLS, SASL EXTERNAL, TLS 1.3.
func TestExternal(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t, dir)
	ca.issue("server", "localhost")
	ca.issue("client", "test")
	pool := ca.pool()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	n := testenv.Private(t, testenv.Options{
		Plugins: []string{"rabbitmq_auth_mechanism_ssl"},
		Config: fmt.Sprintf("listeners.ssl.1 = %s\nssl_options.certfile = %s/server.pem\nssl_options.keyfile = %s/server.key\nssl_options.cacertfile = %s/ca.pem\n"+
			"ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\nssl_cert_login_from = common_name\n"+
			"auth_mechanisms.1 = EXTERNAL\nauth_mechanisms.2 = PLAIN\n", addr, dir, dir, dir),
	})
	for _, args := range [][]string{{"add_user", "test", "unused"}, {"set_permissions", "test", ".*", ".*", ".*"}} {
		if _, err := n.Ctl(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key"))
	if err != nil {
		t.Fatal(err)
	}
	d := amqp.Dialer{URL: "amqps://" + addr + "/", External: true, RequireTLS: true, TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}}}
	s := dial(t, d)
	q := testenv.Name(t)
	if err := s.Declare(t.Context(), broker.Queue{Name: q}); err != nil {
		t.Fatal(err)
	}
	p := &broker.Publication{RoutingKey: q, Properties: broker.Properties{User: "test"}} // the broker refuses any other user
	if err := broker.PublishAndWait(t.Context(), s, p); err != nil {
		t.Error(err)
	}
	// Without a certificate, and where there is no such plugin.
	bare := d
	bare.TLS = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}
	if _, err := bare.Dial(t.Context()); err == nil {
		t.Error("connected without a certificate")
	}
	_, err = amqp.Dialer{URL: testenv.SharedNode(t).URL, External: true}.Dial(t.Context())
	if !errors.Is(err, broker.ErrDenied) || !strings.Contains(err.Error(), "rabbitmq_auth_mechanism_ssl") {
		t.Errorf("where there is no EXTERNAL: %v", err)
	}
}

// TestOldTLS: a broker that knows only TLS 1.2 is refused with a hint, unless it
// is allowed.
func TestOldTLS(t *testing.T) {
	dir := t.TempDir()
	pool := selfSigned(t, dir)
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, MaxVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	defer func() {
		l.Close()
		<-served
	}()
	go func() {
		defer close(served)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.(*tls.Conn).HandshakeContext(t.Context()) // it is the client's word that counts
			_ = c.Close()
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cert := filepath.Join(dir, "cert.pem")
	if _, err := os.Stat(cert); err != nil {
		t.Fatal(err)
	}
	_, err = amqp.Dialer{URL: "amqps://" + l.Addr().String() + "/?cacertfile=" + cert}.Dial(ctx)
	if err == nil || !strings.Contains(err.Error(), "min_version") {
		t.Errorf("by default: %v", err)
	}
	_, err = amqp.Dialer{URL: "amqps://" + l.Addr().String() + "/", TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}.Dial(ctx)
	if err == nil || strings.Contains(err.Error(), "min_version") {
		t.Errorf("with TLS 1.2 allowed: %v", err)
	}
}
