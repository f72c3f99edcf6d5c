package embedded_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http/httptest"
	"path/filepath"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker/embedded"
)

// TestTLS: TLS is the listener's, and guest is local over it too.
func TestTLS(t *testing.T) {
	pki := httptest.NewTLSServer(nil) // for its certificate
	defer pki.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, open(t, embedded.Options{}), tls.NewListener(l, &tls.Config{Certificates: pki.TLS.Certificates, MinVersion: tls.VersionTLS12}))
	roots := x509.NewCertPool()
	roots.AddCert(pki.Certificate())
	conn, err := amqp.DialTLS("amqps://guest:guest@"+l.Addr().String()+"/", &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	roundTrip(t, conn)
}

// TestUnixSocket: as this machine's.
func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Skipf("no unix sockets: %v", err)
	}
	serve(t, open(t, embedded.Options{}), l)
	conn, err := amqp.DialConfig("amqp://guest:guest@local/", amqp.Config{
		Dial: func(string, string) (net.Conn, error) { return net.Dial("unix", path) },
	})
	if err != nil {
		t.Fatal(err)
	}
	roundTrip(t, conn)
}

// roundTrip sends a message of several frames and closes the connection.
func roundTrip(t *testing.T, conn *amqp.Connection) {
	t.Helper()
	ch := channel(t, conn)
	q, err := ch.QueueDeclare("", false, false, true, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, 1<<20)
	if err := ch.PublishWithContext(t.Context(), "", q.Name, true, false, amqp.Publishing{Body: body}); err != nil {
		t.Fatal(err)
	}
	m, ok, err := ch.Get(q.Name, true)
	if err != nil || !ok || len(m.Body) != len(body) {
		t.Errorf("got %d bytes, %v, %v", len(m.Body), ok, err)
	}
	if err := conn.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}
