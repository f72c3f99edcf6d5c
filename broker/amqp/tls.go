package amqp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// uri is a broker's URL.
type uri struct {
	amqp091.URI
	plain string // the URL as amqp://, for the library: TLS is ours, below the guard
}

var errURL = errors.New("amqp: the broker URL is not valid: it must look like amqp://user:password@host:5672/vhost, special characters percent-encoded")

// parse reads a URL. Its error does not quote it, password and all, as that of
// the library does.
func parse(text string) (uri, error) {
	u, err := amqp091.ParseURI(text)
	if err != nil || !wellFormed(text) {
		return uri{}, errURL
	}
	_, rest, _ := strings.Cut(text, ":")
	return uri{URI: u, plain: "amqp:" + rest}, nil
}

// wellFormed refuses what is most likely the end of a password that is not
// percent-encoded: what stands before it would be taken for a host, and shown.
func wellFormed(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Fragment != "" {
		return false
	}
	path := u.EscapedPath()
	return !strings.Contains(path, "@") && strings.Count(path, "/") <= 1 && !strings.Contains(u.RawQuery, "@")
}

func (u *uri) address() string { return net.JoinHostPort(u.Host, strconv.Itoa(u.Port)) }

// secure does the TLS handshake over wire, where the URL asks for it, and puts
// the guard on top.
func (d Dialer) secure(ctx context.Context, wire *coalescer, u uri) (net.Conn, error) {
	if u.Scheme != "amqps" {
		return newGuard(wire), nil
	}
	config := d.TLS.Clone()
	if config == nil {
		var err error
		if config, err = u.tlsConfig(); err != nil {
			return nil, err
		}
	}
	if config.ServerName == "" {
		config.ServerName = u.Host
	}
	client := tls.Client(wire, config)
	if err := client.HandshakeContext(ctx); err != nil {
		if strings.Contains(err.Error(), "protocol version") {
			err = fmt.Errorf("%w: the broker may know no newer TLS than 1.2 (broker.tls.min_version, tls.Config.MinVersion)", err)
		}
		return nil, err
	}
	return newGuard(client), nil
}

// tlsConfig is what the query of the URL asks for: cacertfile, certfile, keyfile
// and server_name_indication, as in other clients of RabbitMQ.
func (u *uri) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{ServerName: u.ServerName, MinVersion: tls.VersionTLS13}
	if u.CACertFile != "" {
		pem, err := os.ReadFile(u.CACertFile)
		if err != nil {
			return nil, fmt.Errorf("authorities: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("authorities: no certificate in %s", u.CACertFile)
		}
	}
	if u.CertFile != "" && u.KeyFile != "" {
		pair, err := tls.LoadX509KeyPair(u.CertFile, u.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
