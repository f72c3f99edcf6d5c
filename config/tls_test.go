package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/config"
)

// selfSigned writes a certificate for "rabbit" and its key.
func selfSigned(t *testing.T, certFile, keyFile string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{"rabbit"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	write(t, certFile, string(cert), 0o600)
	write(t, keyFile, string(private), 0o600)
	pair, err := tls.X509KeyPair(cert, private)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// The dialer trusts the authorities of the file and shows the certificate that is
// in the file at the time of the connection.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	server := selfSigned(t, filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key"))
	selfSigned(t, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	text := strings.ReplaceAll(`
version: 1
broker:
  url: amqps://127.0.0.1/
  tls: {ca_file: DIR/ca.pem, cert_file: DIR/cert.pem, key_file: DIR/key.pem, server_name: rabbit}
pools: {p: {tasks: {t: {builtin: echo}}}}
`, "DIR", dir)
	client := options(t, text, nil).Dialer.(amqp.Dialer).TLS
	renewed := selfSigned(t, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))

	a, b := net.Pipe()
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	srv := tls.Server(a, &tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAnyClientCert})
	done := make(chan error, 1)
	go func() { done <- srv.Handshake() }()
	if err := tls.Client(b, client).HandshakeContext(t.Context()); err != nil {
		t.Fatalf("client: %v", err)
	}
	if err := <-done; err != nil {
		t.Fatalf("server: %v", err)
	}
	if got := srv.ConnectionState().PeerCertificates[0]; !got.Equal(renewed.Leaf) {
		t.Errorf("the client showed certificate %v, not the renewed one", got.SerialNumber)
	}

	// A key that belongs to another certificate is found before the start.
	selfSigned(t, filepath.Join(dir, "other.pem"), filepath.Join(dir, "key.pem"))
	_, err := config.Parse(strings.NewReader(text), "magne.yaml", nil)
	if err == nil || !strings.Contains(err.Error(), "broker.tls.cert_file: cannot use it with key_file: private key does not match public key") {
		t.Errorf("another key: %v", err)
	}
}
