package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/config"
)

// errURL: the argument of --url. It is not quoted, because of the password in it.
func errURL() error {
	return usageError(errors.New("--url is not the URL of a broker"),
		"write amqp://user:password@host:5672/vhost (amqps:// for TLS) and percent-encode special characters")
}

// unreachable gives the failure to reach the broker of f its exit status and a
// hint; f is nil for the one that --url names.
func unreachable(f *config.File, err error) error {
	if f == nil || !f.Broker.IsEmbedded() {
		switch {
		case errors.Is(err, broker.ErrVhost):
			return failed(exitUnreachable, err, "the broker is there: check the virtual host at the end of its URL, and whether the user may use it")
		case errors.Is(err, broker.ErrDenied):
			return failed(exitUnreachable, err, "the broker is there: check user and password (%s)", credentialsOf(f))
		}
		if _, plain := errors.AsType[tls.RecordHeaderError](err); plain {
			return failed(exitUnreachable, err, "that port speaks no TLS: amqps:// is for the port with TLS, which is 5671 on most brokers")
		}
		return failed(exitUnreachable, err, "is the broker running, and its address right?")
	}
	at := f.Broker.Embedded.Listen
	switch {
	case errors.Is(err, amqp.ErrProduct):
		return failed(exitUnreachable, err, "the configuration has no broker.url and so means the embedded broker, which is not the one at %s:\n"+
			"  start `magne-actors run`, or write the address of the other one into broker.url", at)
	case errors.Is(err, broker.ErrDenied):
		return failed(exitUnreachable, err, "the embedded broker has users of its own: say who you are with\n"+
			"  MAGNE_BROKER_URL=amqp://user:password@%s/ before the command", at)
	}
	return failed(exitUnreachable, err, "there is no broker.url, so it is the embedded broker of `magne-actors run` that is meant: is that running with\n"+
		"  this configuration? (`magne-actors broker` runs the broker alone)")
}

// credentialsOf is where a user and a password come from.
func credentialsOf(f *config.File) string {
	if f == nil {
		return "--url"
	}
	return "broker.url and broker.auth"
}

// late is the end of a command's --timeout.
func late(timeout fmt.Stringer) error {
	return failed(exitTemporary, fmt.Errorf("the broker has not answered in %v", timeout), "--timeout waits longer")
}

// within runs f with the time that a command may take. A broker that was not even
// reached in that time is unreachable, and not late.
func within(ctx context.Context, timeout fmt.Stringer, f func(context.Context) error) error {
	err := f(ctx)
	if err != nil && status(err) != exitUnreachable && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return late(timeout)
	}
	return err
}
