package treeview

import (
	"strconv"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/supervisor"
)

// Events returns one line for each event: when, what, to which node and, if that
// is known, to which of its incarnations, and why.
func Events(list []control.Event, o Options) string {
	g := grid{columns: []column{{title: "TIME", usual: 24}, {title: "EVENT", health: true, usual: 15}, {title: "NODE", usual: 20}, {title: "GENERATION", figures: true}, {title: "WHY"}}}
	for _, e := range list {
		g.rows = append(g.rows, row{health: eventHealth(e.Type), cells: []string{
			e.Time.UTC().Format("2006-01-02T15:04:05.000Z"), clean(string(e.Type)), clean(e.ID), orNone(int64(e.Generation), strconv.Itoa(e.Generation)), clean(reasonOf(e)),
		}})
	}
	var b strings.Builder
	g.write(&b, o)
	return b.String()
}

func reasonOf(e control.Event) string {
	switch {
	case e.Type == supervisor.EventBackoff:
		return "starts again after " + e.Delay.Round(time.Millisecond).String()
	case e.Error != "":
		return e.Error
	}
	return e.Reason
}

func eventHealth(t supervisor.EventType) control.Health {
	switch t {
	case supervisor.EventFailed, supervisor.EventGaveUp, supervisor.EventParked:
		return control.Failed
	case supervisor.EventKilled, supervisor.EventAbandoned, supervisor.EventBackoff, "connection_lost", "not_consuming", "suspended":
		return control.Degraded
	default:
		return control.Healthy
	}
}

// Tasks returns one line for each task that runs.
func Tasks(list []control.Task, now time.Time, o Options) string {
	g := grid{columns: []column{{title: "POOL"}, {title: "WORKER"}, {title: "AGE", figures: true}, {title: "ATTEMPT", figures: true}, {title: "TASK"}, {title: "ID"}}}
	for _, t := range list {
		id := clean(t.ID)
		if words := marks(t); words != "" {
			id = strings.TrimSpace(id + " (" + words + ")")
		}
		g.rows = append(g.rows, row{cells: []string{
			clean(t.Pool), clean(t.Worker), age(now.Sub(t.Since)), strconv.Itoa(t.Attempt), clean(t.Name), id,
		}})
	}
	var b strings.Builder
	g.write(&b, o)
	return b.String()
}

// marks are what is unusual about a task.
func marks(t control.Task) string {
	var words []string
	if t.Abandoned {
		words = append(words, "abandoned")
	}
	if t.Lost > 0 {
		words = append(words, "suspect: "+count(int64(t.Lost), "worker", "workers")+" died under it")
	}
	if t.Alone {
		words = append(words, "runs alone")
	}
	return strings.Join(words, ", ")
}
