package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/magne-actors/magne-actors/actors"
	"github.com/magne-actors/magne-actors/config"
	"github.com/magne-actors/magne-actors/internal/control"
)

// The nodes of the control API. No pool can have such a name.
const (
	controlID = "control"
	tcpID     = "control:tcp"
)

// instance is a System that is about to run, with what belongs to it.
type instance struct {
	file    string
	config  *config.File
	options actors.Options
	source  control.Source
	watch   *watch
	log     *slog.Logger

	system  *actors.System // set before it runs
	reloads *reloader
	api     *keeper // of the control API
}

// tcpOf is where an instance with this configuration listens besides its socket.
func tcpOf(f *config.File) control.TCP {
	if isCopy() {
		return control.TCP{}
	}
	c := &f.Control
	return control.TCP{Address: c.Listen, Token: c.Token.Reveal(), CertFile: c.TLS.CertFile, KeyFile: c.TLS.KeyFile}
}

// runActors runs the system with its control API until it has stopped.
func (e *env) runActors(ctx context.Context, in *instance, socket string, tcp control.TCP) error {
	in.source.Events = new(control.Events)
	in.options.Observe = in.source.Events.Add
	in.watch.attach(&in.source, &in.options)
	in.api = newKeeper(ctx)
	serve := func(id string, run func(ctx context.Context) error) {
		in.options.Services = append(in.options.Services, actors.Service{ID: id, Kind: "control", Run: in.api.keep(run)})
	}
	serve(controlID, func(ctx context.Context) error { return control.Serve(ctx, socket, in.source, in.log) })
	if tcp.Address != "" {
		serve(tcpID, func(ctx context.Context) error { return control.ServeTCP(ctx, tcp, in.source, in.log) })
	}
	var err error
	if in.system, err = actors.New(in.options); err != nil {
		return err
	}
	in.watch.system = in.system
	if in.reloads, err = newReloader(in); err != nil {
		return err
	}
	in.offer(in.system)
	return e.untilSignalled(ctx, in.signalled())
}

// isControl reports whether the node serves the control API: a restart of it would
// wait for the call that asks for it to end.
func isControl(id string) bool { return id == controlID || id == tcpID }

var errOwnEnd = errors.New("the control API cannot be restarted by way of itself")

// offer fills the source with what the system can do.
func (in *instance) offer(s *actors.System) {
	src := &in.source
	src.Tree, src.Inspect = s.Tree, s.Inspect
	src.Tasks = func() []control.Task { return tasksOf(s) }
	src.Restart = func(ctx context.Context, id string) error {
		if isControl(id) {
			return errOwnEnd
		}
		return s.Restart(ctx, id)
	}
	src.Scale, src.Limit, src.Pause, src.Resume, src.Cancel = s.Scale, s.Limit, s.Pause, s.Resume, s.Cancel
	src.Signal, src.Recycle, src.Kill = s.Signal, s.Recycle, s.Kill
	src.Reload, src.Diff = in.reloads.reload, in.reloads.diff
}

// tasksOf are the tasks that s runs.
func tasksOf(s *actors.System) []control.Task {
	list := s.Tasks()
	shown := make([]control.Task, len(list))
	for i, t := range list {
		shown[i] = control.Task(t)
	}
	return shown
}
