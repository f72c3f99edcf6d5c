package process

import (
	"maps"

	"github.com/magne-actors/magne-actors/internal/wire"
	"github.com/magne-actors/magne-actors/task"
)

// frameHeader returns the hdr of the task frame of a message: its headers and
// what else a handler may look at.
func frameHeader(m *task.Message) map[string]string {
	h := make(map[string]string, len(m.Headers)+3)
	maps.Copy(h, m.Headers)
	set := func(name, value string) {
		if delete(h, name); value != "" { // a publisher's own must not pass for ours
			h[name] = value
		}
	}
	set(wire.HeaderID, m.ID)
	set(wire.HeaderQueue, m.Queue)
	set(wire.HeaderRedelivered, "")
	if m.Redelivered {
		set(wire.HeaderRedelivered, "true")
	}
	return h
}
