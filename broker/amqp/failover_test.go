package amqp_test

import (
	"errors"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/internal/testenv"
)

// nobody is an address where nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// throughProxy returns the URL of a proxy before the test broker.
func throughProxy(t *testing.T) string {
	t.Helper()
	u, err := url.Parse(testenv.RabbitMQ(t))
	if err != nil {
		t.Fatal(err)
	}
	u.Host = newFreezer(t, u.Host).Addr().String()
	return u.String()
}

func address(t *testing.T, s broker.Session) string {
	t.Helper()
	a, ok := s.(broker.Addressed)
	if !ok {
		t.Fatal("the session does not know its broker")
	}
	if strings.Contains(a.Address(), "guest") {
		t.Errorf("the address has the user: %s", a.Address())
	}
	return a.Address()
}

// TestFailover: whoever is down is passed over, whichever comes first, and the
// session does all that it does with the broker that it has.
func TestFailover(t *testing.T) {
	live := testenv.RabbitMQ(t)
	d := amqp.Dialer{URLs: []string{"amqp://guest:" + secret + "@" + nobody(t) + "/", live, "amqp://guest:" + secret + "@" + nobody(t) + "/"}}
	for range 10 {
		s := dial(t, d)
		if got := address(t, s); !strings.Contains(live, strings.TrimPrefix(got, "amqp://")) {
			t.Errorf("connected to %s, want %s", got, live)
		}
		q := broker.Queue{Name: testenv.Name(t)}
		c := consume(t, s, q, 1)
		if err := broker.PublishAndWait(t.Context(), s, &broker.Publication{RoutingKey: q.Name}); err != nil {
			t.Fatal(err)
		}
		receive(t, c)
	}
	admin, err := d.Admin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	admin.Close(t.Context())
}

// TestNextBroker: the next session tries the others first.
func TestNextBroker(t *testing.T) {
	urls := []string{throughProxy(t), throughProxy(t), throughProxy(t)}
	d := amqp.Dialer{URLs: urls, Rotation: new(amqp.Rotation)}
	last := ""
	for range 20 {
		s := dial(t, d)
		if now := address(t, s); now == last {
			t.Fatalf("twice to %s", now)
		} else {
			last = now
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestFailoverFails(t *testing.T) {
	one, two := nobody(t), nobody(t)
	_, err := amqp.Dialer{URLs: []string{"amqp://guest:" + secret + "@" + one + "/", "amqp://guest:" + secret + "@" + two + "/"}}.Dial(t.Context())
	if err == nil || !strings.Contains(err.Error(), one) || !strings.Contains(err.Error(), two) || broker.FaultOf(err) != broker.FaultUnreachable {
		t.Errorf("got %v, want an error that names both, and that they are unreachable", err)
	}
	wantNoSecret(t, err)

	// One that denies is no reason to give up as long as another one is only away.
	denies := with(t, func(u *url.URL) { u.Path = "/no-such-vhost" })
	_, err = amqp.Dialer{URLs: []string{denies, "amqp://" + one + "/"}}.Dial(t.Context())
	if err == nil || errors.Is(err, broker.ErrDenied) {
		t.Errorf("got %v, want an error that is not ErrDenied", err)
	}
	_, err = amqp.Dialer{URLs: []string{denies, denies}}.Dial(t.Context())
	if !errors.Is(err, broker.ErrDenied) || broker.FaultOf(err) != broker.FaultVhost {
		t.Errorf("got %v, want ErrDenied", err)
	}
}
