package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync/atomic"
	"syscall"

	"github.com/magne-actors/magne-actors/actors"
	"github.com/magne-actors/magne-actors/broker/embedded"
	"github.com/magne-actors/magne-actors/config"
)

// embeddedID is the node of the embedded broker in the tree. No pool can have it.
const embeddedID = "broker:embedded"

// ownBroker is the embedded broker of this process with its listener.
type ownBroker struct {
	*embedded.Broker
	address string
	tls     *tls.Config // nil: plain
	first   atomic.Pointer[net.Listener]
}

// openBroker opens the embedded broker of f and binds its address; nothing is
// served yet. The error is ready to be returned by a command.
func openBroker(ctx context.Context, f *config.File, log *slog.Logger) (*ownBroker, error) {
	e := &f.Broker.Embedded
	options := f.EmbeddedOptions(log)
	var err error
	if options.Dir, err = filepath.Abs(e.Dir); err != nil { // whoever asks for the status may be elsewhere
		return nil, fmt.Errorf("directory of the embedded broker: %w", err)
	}
	b, err := embedded.Open(options)
	if err != nil {
		return nil, unopened(err, e.Dir)
	}
	o := &ownBroker{Broker: b, address: e.Listen, tls: e.TLS.ServerTLS()}
	l, err := o.listen(ctx)
	if err != nil {
		return nil, errors.Join(unbound(err, e.Listen), b.Close())
	}
	o.first.Store(&l)
	return o, nil
}

func (o *ownBroker) listen(ctx context.Context) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", o.address)
	if err == nil && o.tls != nil {
		l = tls.NewListener(l, o.tls)
	}
	return l, err
}

// serve takes connections until ctx ends. Started again after a failure, it binds
// the address again.
func (o *ownBroker) serve(ctx context.Context) error {
	if l := o.first.Swap(nil); l != nil {
		return o.Serve(ctx, *l)
	}
	l, err := o.listen(ctx)
	if err != nil {
		return err
	}
	return o.Serve(ctx, l)
}

// service is the listener as a child of the root. It ends before the sessions of
// the pools do, which need none.
func (o *ownBroker) service() actors.Service {
	return actors.Service{ID: embeddedID, Kind: "broker", Run: o.serve}
}

// dialNet connects within the process, wherever the URL leads.
func (o *ownBroker) dialNet(ctx context.Context, _, _ string) (net.Conn, error) { return o.Dial(ctx) }

// close closes the listener, if it was never served, and the broker.
func (o *ownBroker) close() error {
	if l := o.first.Swap(nil); l != nil {
		_ = (*l).Close()
	}
	return o.Close()
}

// unopened says what to do about a directory that cannot be opened.
func unopened(err error, dir string) error {
	if locked, ok := errors.AsType[*embedded.LockedError](err); ok {
		who := "another process"
		if locked.PID > 0 {
			who = fmt.Sprintf("process %d", locked.PID)
		}
		return failed(exitError, err, "%s has this directory open: stop it, or give this broker another one: broker.embedded.dir or --dir\n"+
			"  (`magne-actors publish` and `queue` reach a broker that runs; several instances share one by broker.url)", who)
	}
	if _, ok := errors.AsType[*embedded.CorruptError](err); ok {
		return failed(exitError, err, "`magne-actors broker fsck %s` says what is readable, --repair gives up what is not", dir)
	}
	if _, ok := errors.AsType[*embedded.VersionError](err); ok {
		return failed(exitError, err, "use the magne-actors that wrote it, or another directory")
	}
	return failed(exitError, err, "broker.embedded.dir names the directory")
}

// unbound says what to do about an address that cannot be listened on.
func unbound(err error, address string) error {
	err = fmt.Errorf("embedded broker: %w", err)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return failed(exitError, err, "something listens at %s already, perhaps RabbitMQ or another magne-actors. To use it as the broker,\n"+
			"  write its address into broker.url: amqp://guest:guest@%s/\n"+
			"  To have the embedded broker beside it, choose another address, for example 127.0.0.1:5673:\n"+
			"  broker.embedded.listen, or --listen of `magne-actors broker`", address, address)
	case errors.Is(err, syscall.EACCES):
		return failed(exitError, err, "ports below 1024 are for root: choose another in broker.embedded.listen or --listen")
	}
	return failed(exitError, err, "broker.embedded.listen or --listen must be an address of this machine")
}
