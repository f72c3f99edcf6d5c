package amqp_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/internal/testenv"
)

// selfSigned writes a certificate for 127.0.0.1 and its key to dir.
func selfSigned(t *testing.T, dir string) (pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:        true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: der},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(cert)
	return pool
}

// TestTLS runs bodies, many small frames and odd headers through amqps.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	pool := selfSigned(t, dir)
	port, err := testenv.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	n := testenv.Private(t, testenv.Options{Config: fmt.Sprintf(
		"listeners.ssl.1 = %s\nssl_options.certfile = %s/cert.pem\nssl_options.keyfile = %s/key.pem\nssl_options.cacertfile = %s/cert.pem\n",
		addr, dir, dir, dir)})
	d := amqp.Dialer{URL: "amqps://guest:guest@" + addr + "/"}
	_, err = d.Dial(t.Context())
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
		t.Errorf("with an unknown authority: got %v, want a verification error", err)
	}
	d.TLS = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	s := dial(t, d)
	q := broker.Queue{Name: testenv.Name(t)}
	c := consume(t, s, q, 10)
	for _, size := range []int{10, 3 << 20} {
		body := bytes.Repeat([]byte("x"), size)
		for range 20 {
			if err := broker.PublishAndWait(t.Context(), s, &broker.Publication{RoutingKey: q.Name, Body: body}); err != nil {
				t.Fatal(err)
			}
			got := receive(t, c)
			if !bytes.Equal(got.Body, body) {
				t.Fatalf("%d bytes came back different", size)
			}
			if err := c.Settle(got.Tag, broker.Ack); err != nil {
				t.Fatal(err)
			}
		}
	}
	publishRaw(t, n.URL, q.Name, amqp091.Publishing{Headers: amqp091.Table{"h": make([]any, 8193)}})
	if got := receive(t, c); got.Headers[broker.HeaderDropped] == nil {
		t.Errorf("got the headers %v, want the marker", got.Headers)
	}
	dialByQuery(t, d.URL, dir)
}

// dialByQuery dials with what the query of the URL says about TLS.
func dialByQuery(t *testing.T, url, dir string) {
	t.Helper()
	authority, client := "?cacertfile="+dir+"/cert.pem", "&certfile="+dir+"/cert.pem&keyfile="+dir+"/key.pem"
	for query, want := range map[string]string{ // part of the error
		authority:          "",
		authority + client: "",
		authority + "&server_name_indication=127.0.0.2": "127.0.0.2",
		"?cacertfile=" + dir + "/none.pem":              "no such file",
		"?cacertfile=" + dir + "/key.pem":               "no certificate in " + dir + "/key.pem",
		authority + "&certfile=none&keyfile=none":       "client certificate: open none: no such file",
	} {
		s, err := amqp.Dialer{URL: url + query}.Dial(t.Context())
		switch {
		case err == nil && want != "":
			t.Errorf("%s: got no error", query)
		case err != nil && (want == "" || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v, want %q", query, err, want)
		}
		if err == nil {
			if err := s.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}
