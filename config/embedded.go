package config

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded"
)

// checkEmbedded looks at the embedded broker, which is the one that will run.
func (f *File) checkEmbedded() {
	const at = "broker.embedded"
	e, r := &f.Broker.Embedded, f.read
	if e.Heartbeat%time.Second != 0 {
		r.complain(at+".heartbeat", "%v is not a number of whole seconds: AMQP knows no others", e.Heartbeat)
	}
	f.checkListen(at + ".listen")
	f.checkUsers(at + ".users")
	r.checkPair(at+".tls", e.TLS.CertFile, e.TLS.KeyFile)
	if why := unusableDir(e.Dir); r.usable(at+".dir") && why != "" {
		r.complain(at+".dir", "%s: choose another, or change its owner or mode", why)
	}
	if !r.alone && f.Processes > 1 && len(e.Users) > 0 && r.usable("processes", at+".users") {
		r.complain("processes", "the copies reach the embedded broker as guest, which broker.embedded.users shuts out: "+
			"leave the users out, or run `magne-actors broker -c FILE` beside it and write broker.url with one of them")
	}
}

// checkListen: whoever can be reached from other machines must not let everybody
// in who knows the password that everybody knows.
func (f *File) checkListen(at string) {
	e, r := &f.Broker.Embedded, f.read
	if !r.usable(at) {
		return
	}
	_, port, err := net.SplitHostPort(e.Listen)
	if err != nil {
		r.complain(at, "%q is not host:port: write it like 127.0.0.1:5672", e.Listen)
		return
	}
	if n, _ := strconv.Atoi(port); n < 1 || n > 65535 {
		r.complain(at, "the port %s is not possible: it must be from 1 to 65535, so that `magne-actors publish` can find it", port)
		return
	}
	if !beyond(e.Listen) || len(e.Users) > 0 || r.badBelow("broker.embedded.users") {
		return
	}
	r.complain(at, "%s can be reached from other machines, and there are no users: make a hash with `magne-actors broker hash-password` "+
		"and write broker: {embedded: {users: {alice: 'the hash'}}}, or listen on 127.0.0.1:%s", e.Listen, port)
}

// checkUsers says what is wrong with a hash, and quotes nothing of it.
func (f *File) checkUsers(at string) {
	for _, name := range sortedNames(f.Broker.Embedded.Users) {
		user := at + component(name)
		if name == "guest" {
			f.read.complain(user, "guest is who magne-actors itself connects as: choose another name")
		}
		if err := embedded.Hash(f.Broker.Embedded.Users[name].Reveal()).Validate(); f.read.usable(user) && err != nil {
			f.read.complain(user, "not the hash of a password: %v; `magne-actors broker hash-password` makes one, single quotes keep it whole", err)
		}
	}
}

// unusableDir says why nothing could be kept in dir; "" when it can. It makes
// nothing: a directory that is missing must be one that can be made.
func unusableDir(dir string) string {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if above := filepath.Dir(filepath.Clean(dir)); above != dir {
			return unusableDir(above)
		}
		return dir + " does not exist"
	case err != nil:
		return err.Error()
	case !info.IsDir():
		return dir + " is not a directory"
	case !writable(dir):
		return "this user may not write into " + dir
	}
	return ""
}

func (f *File) checkManagement() {
	const at = "broker.management"
	if !f.read.set(at) {
		return
	}
	u, err := url.Parse(f.Broker.Management.Reveal())
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		f.read.complain(at, "not a URL: write http://user:password@host:15672/ and percent-encode special characters in it")
	}
}

// lintEmbedded warns of passwords that can be read on their way.
func (f *File) lintEmbedded() {
	e := &f.Broker.Embedded
	if f.Broker.IsEmbedded() && beyond(e.Listen) && e.TLS == (Certificate{}) {
		f.read.warn("broker.embedded.listen", "%s can be reached from other machines, and without broker.embedded.tls passwords and messages cross the network in the clear", e.Listen)
	}
}

// ClientURL is how a program on the same machine reaches the embedded broker, as
// guest.
func (e *Embedded) ClientURL() string {
	host, port, err := net.SplitHostPort(e.Listen)
	if ip, ipErr := netip.ParseAddr(host); err == nil && (host == "" || ipErr == nil && ip.IsUnspecified()) {
		host = "127.0.0.1"
		if ipErr == nil && ip.Is6() {
			host = "::1"
		}
	}
	scheme := "amqp"
	if e.TLS != (Certificate{}) {
		scheme = "amqps"
	}
	return scheme + "://guest:guest@" + net.JoinHostPort(host, port) + "/"
}

// ServerTLS is the configuration of the listener; nil for plain connections. The
// files are read for each connection.
func (c Certificate) ServerTLS() *tls.Config {
	if c == (Certificate{}) {
		return nil
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return keyPair(c.CertFile, c.KeyFile) },
	}
}

// clientTLS trusts the very certificate of the file and no other: our own broker
// needs no authority, and its certificate need not be for 127.0.0.1.
func (c Certificate) clientTLS() (*tls.Config, error) {
	if c == (Certificate{}) {
		return nil, nil
	}
	text, err := readFile(c.CertFile)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no certificate in the file: it should be PEM, with BEGIN CERTIFICATE")
	}
	ours, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection is stricter
		VerifyConnection: func(s tls.ConnectionState) error {
			if !s.PeerCertificates[0].Equal(ours) {
				return errors.New("the broker has another certificate than broker.embedded.tls.cert_file")
			}
			return nil
		},
	}, nil
}

// EmbeddedOptions are those of the embedded broker. Its listener has TLS with
// Broker.Embedded.TLS.ServerTLS. A nil log is silent.
func (f *File) EmbeddedOptions(log *slog.Logger) embedded.Options {
	e := &f.Broker.Embedded
	o := embedded.Options{
		Dir: e.Dir, Fsync: e.Fsync, BodyMemory: int64(e.BodyMemory), ConsumerTimeout: e.ConsumerTimeout, Heartbeat: e.Heartbeat, Logger: log,
		Limits: embedded.Limits{
			Connections: e.Limits.Connections, Channels: e.Limits.Channels, Consumers: e.Limits.Consumers, Queues: e.Limits.Queues,
			FrameBytes: e.Limits.Frame, MessageBytes: e.Limits.Message, TransientBytes: int64(e.Limits.Transient), BufferBytes: e.Limits.Buffer,
		},
	}
	// There, zero stands for a default and less for none.
	if o.BodyMemory == 0 {
		o.BodyMemory = -1
	}
	if o.ConsumerTimeout == 0 {
		o.ConsumerTimeout = -1
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = -1
	}
	for name, hash := range e.Users {
		if o.Users == nil {
			o.Users = make(map[string]embedded.Hash, len(e.Users))
		}
		o.Users[name] = embedded.Hash(hash.Reveal())
	}
	return o
}
