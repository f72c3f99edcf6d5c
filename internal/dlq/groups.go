package dlq

import (
	"cmp"
	"slices"
	"time"
)

// Group is dead letters that ended for one cause: of one task, for one reason, with
// errors that differ in numbers and identifiers only.
type Group struct {
	ID     string `json:"group"` // the fingerprint
	Reason string `json:"reason,omitempty"`
	Task   string `json:"task,omitempty"`
	Count  int    `json:"count"`

	// The earliest and the latest first failure of its letters; nil: none says it.
	FirstSeen *time.Time `json:"first_seen,omitempty"`
	LastSeen  *time.Time `json:"last_seen,omitempty"`

	Error   string `json:"error,omitempty"` // normalised
	Example string `json:"example"`         // the id of its first letter
}

// Groups counts dead letters by their fingerprint. The zero value is empty; memory
// grows with the number of groups and not with that of letters.
type Groups struct{ byID map[string]*Group }

// Add counts one letter.
func (g *Groups) Add(l *Letter) {
	if g.byID == nil {
		g.byID = map[string]*Group{}
	}
	one := g.byID[l.Group]
	if one == nil {
		one = &Group{ID: l.Group, Reason: l.Reason, Task: l.Task, Error: Normalize(l.Error), Example: l.ID}
		g.byID[l.Group] = one
	}
	one.Count++
	if t := l.FirstSeen; t != nil {
		if one.FirstSeen == nil || t.Before(*one.FirstSeen) {
			one.FirstSeen = t
		}
		if one.LastSeen == nil || t.After(*one.LastSeen) {
			one.LastSeen = t
		}
	}
}

// List returns the groups, the largest first, equal ones by their fingerprint.
func (g *Groups) List() []Group {
	list := make([]Group, 0, len(g.byID))
	for _, one := range g.byID {
		list = append(list, *one)
	}
	slices.SortFunc(list, func(a, b Group) int { return cmp.Or(b.Count-a.Count, cmp.Compare(a.ID, b.ID)) })
	return list
}
