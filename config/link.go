package config

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/spool"
)

// Auth is who we are to the broker, where its URL is not to say so.
type Auth struct {
	Mechanism    string // plain or external
	User         string // empty: that of the URL
	Password     Secret
	PasswordFile string `mapstructure:"password_file"`
}

// Spool is where messages wait while the broker takes none; an empty Dir is none.
type Spool struct {
	Dir      string
	MaxBytes int `mapstructure:"max_bytes"`
}

const external = "external"

// checkLink looks at who we are, and whether the way to the broker is safe.
func (f *File) checkLink() {
	a, r := &f.Broker.Auth, f.read
	const at = "broker.auth"
	if !r.usable("broker.url", "broker.urls") {
		return
	}
	secure := f.Broker.secure()
	if f.Broker.RequireTLS && !secure && !f.Broker.IsEmbedded() {
		r.complain(r.later("broker.url", "broker.urls"), "it does not begin with amqps://, and broker.require_tls is true")
	}
	switch {
	case r.badBelow(at):
	case r.given(at) && f.Broker.IsEmbedded():
		r.complain(at, "this is for broker.url, which is not there: the users of the embedded broker are in broker.embedded.users")
	case a.Password != "" && a.PasswordFile != "":
		r.complain(r.later(at+".password", at+".password_file"), "password and password_file are both there: remove one")
	case a.Mechanism == external && !secure:
		r.complain(at+".mechanism", "external needs a certificate of ours, and broker.url does not begin with amqps://")
	case a.Mechanism == external && f.Broker.TLS.CertFile == "" && !strings.Contains(f.Broker.first(), "certfile="):
		r.complain(at+".mechanism", "external needs a certificate of ours: set broker.tls.cert_file and key_file")
	case a.Mechanism == external && (a.User != "" || a.Password != "" || a.PasswordFile != ""):
		r.complain(at+".mechanism", "with external the broker takes the user from our certificate: remove user and password")
	case a.PasswordFile != "":
		if _, err := readSecret(a.PasswordFile); err != nil {
			r.complain(at+".password_file", "%v", err)
		}
		r.warnOpen(a.PasswordFile, at+".password_file")
	}
}

func (f *File) checkSpool() {
	const at = "broker.spool.dir"
	if dir := f.Broker.Spool.Dir; dir != "" && f.read.usable(at) {
		if why := unusableDir(dir); why != "" {
			f.read.complain(at, "%s: choose another, or change its owner or mode", why)
		}
	}
}

// lintSpool warns of a size for a spool that is off.
func (f *File) lintSpool() {
	const at = "broker.spool.max_bytes"
	if f.read.set(at) && f.Broker.Spool.Dir == "" {
		f.read.warn(at, "there is no spool without broker.spool.dir: name a directory, or remove max_bytes")
	}
}

// lintLink warns of a password, and messages, that can be read on their way.
func (f *File) lintLink() {
	open := func(text Secret) bool {
		u, err := url.Parse(text.Reveal())
		return err == nil && u.Scheme == "amqp" && beyond(net.JoinHostPort(u.Hostname(), "0"))
	}
	at := "broker.url"
	switch {
	case open(f.Broker.URL):
	case slices.ContainsFunc(f.Broker.URLs, open):
		at = "broker.urls"
	default:
		return
	}
	f.read.warn(at, "amqp:// to another machine: the password and all messages cross the network in the clear; "+
		"use amqps://, and broker.require_tls: true to insist on it")
}

// login reads user and password again for each connection, where a file has them.
// It is nil when the URL is all that there is.
func (f *File) login() func(context.Context) (user, password string, err error) {
	a := f.Broker.Auth
	urlFile, file := f.read.files["broker.url"], cmp.Or(a.PasswordFile, f.read.files["broker.auth.password"])
	if f.Broker.IsEmbedded() || a.Mechanism == external || a.User == "" && a.Password == "" && file == "" && urlFile == "" {
		return nil
	}
	address := f.Broker.first()
	return func(context.Context) (string, string, error) {
		user, password, err := userOf(address, urlFile)
		switch {
		case err != nil:
		case file != "":
			password, err = readSecret(file)
		default:
			password = cmp.Or(a.Password.Reveal(), password)
		}
		return cmp.Or(a.User, user), password, err
	}
}

// userOf takes user and password out of a URL, or out of the one in a file.
func userOf(address, file string) (user, password string, err error) {
	if file != "" {
		if address, err = readSecret(file); err != nil {
			return "", "", err
		}
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", "", errors.New("broker.url is not a URL any more") // what net/url says quotes it
	}
	if u.User == nil {
		return "guest", "guest", nil // as RabbitMQ's clients have it
	}
	password, _ = u.User.Password()
	return u.User.Username(), password, nil
}

// OpenSpool opens the spool that the file asks for, for actors.Options.Spool, and
// returns how to close it. Without one it returns nil and a function that does
// nothing. A nil log is silent.
func (f *File) OpenSpool(log *slog.Logger) (broker.Spool, func() error, error) {
	o := f.Broker.Spool
	if o.Dir == "" {
		return nil, func() error { return nil }, nil
	}
	s, err := spool.Open(spool.Options{Dir: o.Dir, MaxBytes: int64(o.MaxBytes), Logger: log})
	if err != nil {
		return nil, nil, Errors{f.read.at("broker.spool.dir", "%v", err)}
	}
	return s, s.Close, nil
}
