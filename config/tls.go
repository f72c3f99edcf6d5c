package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
)

// config makes a client's TLS configuration; nil when nothing was set. The
// certificate of our own is read again for each connection, so that a new one
// is used after the next reconnect.
func (t TLS) config() (*tls.Config, error) {
	if t == (TLS{}) {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS13, ServerName: t.ServerName}
	if t.MinVersion == "1.2" {
		c.MinVersion = tls.VersionTLS12
	}
	if t.CAFile != "" {
		roots, err := authorities(t.CAFile)
		if err != nil {
			return nil, err
		}
		c.RootCAs = roots
	}
	if t.CertFile != "" {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return t.pair()
		}
	}
	return c, nil
}

// pair reads the certificate and its key.
func (t TLS) pair() (*tls.Certificate, error) { return keyPair(t.CertFile, t.KeyFile) }

func keyPair(certFile, keyFile string) (*tls.Certificate, error) {
	cert, err := readFile(certFile)
	if err != nil {
		return nil, err
	}
	key, err := readFile(keyFile)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	return &pair, err
}

func authorities(file string) (*x509.CertPool, error) {
	pem, err := readFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("no certificate in the file: it should be PEM, with BEGIN CERTIFICATE")
	}
	return pool, nil
}

// checkTLS reads the files once, so that a mistake is found before the start.
func (f *File) checkTLS() {
	const at = "broker.tls"
	t, r := f.Broker.TLS, f.read
	if t == (TLS{}) || !r.usable(at, "broker.url", "broker.urls") {
		return
	}
	if f.Broker.IsEmbedded() {
		r.complain(at, "this is for broker.url, which is not there: the certificate of the embedded broker goes into broker.embedded.tls")
		return
	}
	for _, u := range f.Broker.All() {
		if !strings.HasPrefix(u.Reveal(), "amqps:") {
			r.complain(at, "broker.url does not begin with amqps://, so there is no TLS: change it, or remove broker.tls")
			return
		}
	}
	if _, err := t.config(); err != nil && r.usable(at+".ca_file") {
		r.complain(at+".ca_file", "%v", err)
	}
	r.checkPair(at, t.CertFile, t.KeyFile)
}

// checkPair looks at a certificate and its key, both of which may be missing.
func (r *reader) checkPair(at, certFile, keyFile string) {
	switch {
	case certFile == "" && keyFile == "", !r.usable(at+".cert_file", at+".key_file"):
	case keyFile == "":
		r.complain(at+".key_file", "missing: cert_file needs the private key that belongs to it")
	case certFile == "":
		r.complain(at+".cert_file", "missing: key_file needs the certificate that belongs to it")
	default:
		if _, err := keyPair(certFile, keyFile); err != nil {
			r.complain(at+".cert_file", "cannot use it with key_file: %v", strings.TrimPrefix(err.Error(), "tls: "))
		}
	}
}
