package treeview

import (
	"cmp"
	"strings"

	"github.com/magne-actors/magne-actors/internal/control"
)

// Changes returns one line for each difference between two configurations: the
// pool, what is done to it, and what differs.
func Changes(list []control.Change, o Options) string {
	g := grid{columns: []column{{title: "POOL"}, {title: "ACTION", health: true}, {title: "CHANGE"}}}
	for _, c := range list {
		g.rows = append(g.rows, row{health: changeHealth(c.Action), cells: []string{
			cmp.Or(clean(c.Pool), "-"), clean(c.Action), clean(cmp.Or(c.Text, strings.Join(c.Keys, ", "))),
		}})
	}
	var b strings.Builder
	g.write(&b, o)
	return b.String()
}

// changeHealth colours what ends tasks, and what is not done at all.
func changeHealth(action string) control.Health {
	switch action {
	case "remove", "manual":
		return control.Failed
	case "restart", "roll":
		return control.Degraded
	}
	return control.Healthy
}
