package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// The words for what a reload does about a pool. Each of ActionLimit, ActionScale,
// ActionRoll and ActionRestart does what those before it do, too: a pool that is
// scaled gets its new watermarks.
const (
	ActionKeep    = "keep"    // nothing
	ActionAdd     = "add"     // start it
	ActionRemove  = "remove"  // drain and stop it
	ActionLimit   = "limit"   // set its watermarks
	ActionScale   = "scale"   // and start or stop workers
	ActionRoll    = "roll"    // and replace the processes one by one, each new one before the old
	ActionRestart = "restart" // drain it, stop it, and start it as it is configured now
	// ActionManual is for what no reload can change: the program must be restarted.
	ActionManual = "manual"
)

// Change is one difference between two configurations: what a reload does about
// one pool, or with an empty Pool what it cannot do.
type Change struct {
	Pool   string   `json:"pool"`
	Action string   `json:"action"`
	Keys   []string `json:"keys,omitempty"` // what differs, below the pool, or with an empty Pool from the top
	Text   string   `json:"text"`           // the same for people; it contains no secret
}

// Diff says how to get from one configuration to another, both of them without
// errors. It returns a Change for each pool of either, those of next in its order
// and then those that are gone, and before them one with an empty Pool when
// something else differs.
//
// Pools are told apart by their names: one that is renamed is removed and added.
// Their order does not count. What counts are the values with all defaults: an
// other number of workers gives other watermarks, if those are not in the file.
// Secrets are compared as they were when the configurations were read.
func Diff(old, next *File) []Change {
	var all []Change
	if d := compare(old.settings(), next.settings()); len(d) > 0 {
		all = append(all, Change{Action: ActionManual, Keys: d.keys(), Text: d.text() + "; this needs a restart of the program"})
	}
	before := map[string]*Pool{}
	for i := range old.Pools {
		before[old.Pools[i].Name] = &old.Pools[i]
	}
	for i := range next.Pools {
		p := &next.Pools[i]
		was, found := before[p.Name]
		if delete(before, p.Name); !found {
			all = append(all, Change{Pool: p.Name, Action: ActionAdd, Text: fmt.Sprintf("new, mode %s, workers %d", p.Mode, p.MaxWorkers())})
			continue
		}
		d := compare(old.poolSettings(was), next.poolSettings(p))
		if was.Mode != p.Mode {
			d = d.common()
		}
		all = append(all, Change{Pool: p.Name, Action: d.action(was, p), Keys: d.keys(), Text: cmp.Or(d.text(), "unchanged")})
	}
	for i := range old.Pools {
		if name := old.Pools[i].Name; before[name] != nil {
			all = append(all, Change{Pool: name, Action: ActionRemove, Text: "gone; its running tasks finish first"})
		}
	}
	return all
}

// difference is a key whose value is another one.
type difference struct {
	key      string
	old, new setting
}

type differences []difference

// compare lists what differs, in the order of next.
func compare(old, next []setting) differences {
	before := map[string]setting{}
	for _, s := range old {
		before[s.key] = s
	}
	var d differences
	for _, s := range next {
		if was := before[s.key]; was.value != s.value {
			d = append(d, difference{s.key, was, s})
		}
		delete(before, s.key)
	}
	for _, s := range old {
		if _, gone := before[s.key]; gone && s.value != "" {
			d = append(d, difference{key: s.key, old: s})
		}
	}
	return d
}

// common are those keys that have a value before and after: with another mode the
// rest says only that other keys apply.
func (d differences) common() differences {
	return slices.DeleteFunc(d, func(e difference) bool { return e.old.value == "" || e.new.value == "" })
}

// keys are in the order of the differences; a secret may have several.
func (d differences) keys() []string {
	var keys []string
	for _, e := range d {
		keys = append(keys, e.key)
	}
	return slices.Compact(keys)
}

// text is "workers 8 -> 16, process.env.A changed".
func (d differences) text() string {
	var parts []string
	for _, e := range d {
		if e.old.hidden || e.new.hidden {
			parts = append(parts, e.key+" changed")
			continue
		}
		parts = append(parts, fmt.Sprintf("%s %s -> %s", e.key, cmp.Or(e.old.shown, "none"), cmp.Or(e.new.shown, "none")))
	}
	return strings.Join(slices.Compact(parts), ", ")
}

// action is the mildest one that covers all differences.
func (d differences) action(old, next *Pool) string {
	order := []string{ActionKeep, ActionLimit, ActionScale, ActionRoll, ActionRestart}
	strongest := 0
	for _, e := range d {
		strongest = max(strongest, slices.Index(order, keyAction(e.key, next.Mode)))
	}
	if len(d) > 0 && old.follows() != next.follows() {
		return ActionRestart // a fixed number of processes is not one that follows the load
	}
	return order[strongest]
}

// follows reports whether the number of workers follows the load.
func (p *Pool) follows() bool { return p.Size != nil && p.Size.Mode != "static" }

// keyAction is what has to be done about a pool of that mode when a key differs.
func keyAction(key, mode string) string {
	switch key {
	case "size.max_starting", "timeout.kill_after": // the supervisor knows these, too
		return ActionRestart
	}
	switch first, _, _ := strings.Cut(key, "."); first {
	case "watermarks":
		return ActionLimit
	case "workers", "size":
		return ActionScale
	case "process", "start_timeout", "timeout", "watchdog", "recycle", "max_lost", "logs", "reload":
		if mode == modeProcess {
			return ActionRoll
		}
	}
	return ActionRestart
}
