package treeview

import (
	"fmt"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/internal/control"
)

// suspended is what the first line says of an instance that does not do all that it
// could because it was told so.
func suspended(pools int) string {
	if pools == 0 {
		return ""
	}
	return ", " + count(int64(pools), "pool", "pools") + " suspended"
}

// Status returns a summary on one screen: figures of the whole instance, and one
// line for each node that is not healthy.
func Status(s *control.Status, now time.Time, o Options) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s%spid %d%sup %s%s%s%s\n", strings.TrimSpace("magne-actors "+clean(s.Version)), gap, s.PID, gap, since(s.Since, now), gap,
		paint(strings.ToUpper(s.Health.String()), s.Health, o.Color), suspended(len(s.Suspended)))
	fmt.Fprintf(&b, "%s, %s\n", count(int64(s.Nodes), "node", "nodes"), count(s.Restarts, "restart", "restarts"))
	fmt.Fprintf(&b, "%d tasks run, %d deliveries in flight, %d settled\n", s.Running, s.InFlight, s.Settled)
	for _, p := range s.Suspended {
		pool := strings.TrimPrefix(p.ID, "router:")
		fmt.Fprintf(&b, "%s takes no deliveries: suspended (%s) until `magne-actors resume %s`\n", clean(pool), clean(p.LastError), clean(pool))
	}
	if len(s.Problems) == 0 {
		return b.String()
	}
	b.WriteByte('\n')
	g := grid{columns: []column{{title: "ID"}, {title: "KIND"}, {title: "STATE", health: true}, {title: "LAST-ERROR"}}}
	for _, p := range s.Problems {
		g.rows = append(g.rows, row{health: control.StateHealth(p.State), cells: []string{clean(p.ID), clean(p.Kind), clean(p.State), clean(p.LastError)}})
	}
	g.write(&b, o)
	return b.String()
}
