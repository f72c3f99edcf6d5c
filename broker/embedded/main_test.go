package embedded_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"

	"github.com/magne-actors/magne-actors/broker/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open returns a broker that ends with the test.
func open(t testing.TB, o embedded.Options) *embedded.Broker {
	t.Helper()
	b, err := embedded.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

// listen serves b over TCP until the test ends and returns the address.
func listen(t testing.TB, b *embedded.Broker) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, b, l)
	return l.Addr().String()
}

// serve serves b on l until the test ends.
func serve(t testing.TB, b *embedded.Broker, l net.Listener) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, embedded.ErrClosed) {
			t.Errorf("serve: %v", err)
		}
	})
}

// dial connects within the process.
func dial(t testing.TB, b *embedded.Broker, c amqp.Config) *amqp.Connection {
	t.Helper()
	c.Dial = func(string, string) (net.Conn, error) { return b.Dial(t.Context()) }
	if c.Heartbeat == 0 {
		c.Heartbeat = time.Minute
	}
	conn, err := amqp.DialConfig("amqp://guest:guest@embedded/", c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// dialTCP connects to an address.
func dialTCP(t testing.TB, addr string) *amqp.Connection {
	t.Helper()
	conn, err := amqp.Dial("amqp://guest:guest@" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func channel(t testing.TB, conn *amqp.Connection) *amqp.Channel {
	t.Helper()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// settled waits until ok, which nothing announces.
func settled(t testing.TB, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 10_000 {
		if ok() {
			return
		}
		<-tick.C
	}
	t.Fatal("it does not come to that")
}
