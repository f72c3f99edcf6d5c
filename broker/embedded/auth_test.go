package embedded_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker/embedded"
)

// log is a buffer for a logger.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestUsers: users with hashes, from anywhere; guest only from inside then.
func TestUsers(t *testing.T) {
	hash, err := embedded.HashPassword("s3cret!")
	if err != nil {
		t.Fatal(err)
	}
	var l log
	b := open(t, embedded.Options{Users: map[string]embedded.Hash{"ann": hash}, Logger: slog.New(slog.NewTextHandler(&l, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	addr := listen(t, b)
	var all sync.WaitGroup // a refusal takes three seconds
	for _, c := range []struct {
		user, password string
		ok             bool
	}{{"ann", "s3cret!", true}, {"ann", "wr0ng!", false}, {"bob", "s3cret!", false}, {"guest", "guest", false}} {
		all.Go(func() {
			conn, err := amqp.DialConfig("amqp://"+addr+"/", amqp.Config{SASL: []amqp.Authentication{&amqp.PlainAuth{Username: c.user, Password: c.password}}})
			switch {
			case c.ok && err == nil:
				conn.Close()
			case c.ok || !errors.Is(err, amqp.ErrCredentials):
				t.Errorf("%s %s: %v", c.user, c.password, err)
			}
		})
	}
	all.Wait()
	dial(t, b, amqp.Config{}) // guest
	text := l.String()
	if strings.Contains(text, "s3cret") || strings.Contains(text, "wr0ng") || strings.Contains(text, "argon2") {
		t.Errorf("the log has secrets:\n%s", text)
	}
	for _, want := range []string{"connection opened", `user=ann`, "login refused", `reason="user 'bob' - invalid credentials"`, "remote=127.0.0.1:"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log lacks %s:\n%s", want, text)
		}
	}
}

// TestGuestIsLocal: not from another machine, which is the case for an address
// that is not loopback.
func TestGuestIsLocal(t *testing.T) {
	b := open(t, embedded.Options{})
	addr := ownAddress(t)
	l, err := net.Listen("tcp", net.JoinHostPort(addr, "0"))
	if err != nil {
		t.Skipf("cannot listen on %s: %v", addr, err)
	}
	serve(t, b, l)
	_, err = amqp.Dial("amqp://guest:guest@" + l.Addr().String() + "/")
	if !errors.Is(err, amqp.ErrCredentials) {
		t.Errorf("got %v", err)
	}
}

// ownAddress is one of this machine's that is not loopback.
func ownAddress(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && !ip.IP.IsLoopback() && ip.IP.To4() != nil {
			return ip.IP.String()
		}
	}
	t.Skip("this machine has no address but loopback")
	return ""
}

func TestInvalidOptions(t *testing.T) {
	for want, o := range map[string]embedded.Options{
		`password hash of user "ann": neither`:      {Users: map[string]embedded.Hash{"ann": "plain"}},
		"user without a name":                       {Users: map[string]embedded.Hash{"": "x"}},
		"heartbeat of 500ms":                        {Heartbeat: 500e6},
		"limit of channels is 70000":                {Limits: embedded.Limits{Channels: 70000}},
		"limit of frame bytes is 100":               {Limits: embedded.Limits{FrameBytes: 100}},
		"limit of connections is -1":                {Limits: embedded.Limits{Connections: -1}},
		"limit of handshake is -1s: want more than": {Limits: embedded.Limits{Handshake: -1e9}},
	} {
		if _, err := embedded.Open(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
