package main

import (
	"log/slog"

	"github.com/magne-actors/magne-actors/internal/health"
	"github.com/magne-actors/magne-actors/internal/sdnotify"
)

// newNotifier tells systemd, if it is there, how the instance is doing. The
// watchdog is fed when the root supervisor has handled a message and no actor of
// the runtime hangs; not by a timer alone.
func (w *watch) newNotifier(log *slog.Logger) *sdnotify.Notifier {
	return sdnotify.New(sdnotify.Options{
		Up:     func() bool { return health.Started(w.system.Tree(), w.system.Stats()) },
		Alive:  w.alive,
		Status: func() string { return health.Summary(w.system.Tree(), w.system.Stats()) },
		Logger: log,
	})
}
