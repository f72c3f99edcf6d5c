package copies

import (
	"github.com/magne-actors/magne-actors/internal/osproc"
	"github.com/magne-actors/magne-actors/supervisor"
)

// exitOf is the end of a process as a tree shows it.
func exitOf(e osproc.Exit) supervisor.ProcessExit {
	x := supervisor.ProcessExit{
		Time: e.Ended, PID: e.PID, Text: e.String(), Code: e.Code, Core: e.Core, Swept: e.Swept,
		MaxRSS: e.MaxRSS, User: e.User, System: e.System,
	}
	if e.Signal != 0 {
		x.Signal = e.Signal.String()
	}
	for _, l := range e.Tail {
		x.Log = append(x.Log, l.Text)
	}
	return x
}
