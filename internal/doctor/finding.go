package doctor

import (
	"cmp"
	"fmt"
	"slices"
)

// Severity says how much a Finding matters.
type Severity string

const (
	// Error: something will fail, or messages can be lost.
	Error Severity = "error"
	// Warning: it works, and probably not as it was meant.
	Warning Severity = "warning"
	// Unknown: it could not be checked, and is worth checking.
	Unknown Severity = "unknown"
	// Info: nothing to do.
	Info Severity = "info"
)

// Finding is one thing that the doctor has to say.
type Finding struct {
	Severity Severity `json:"severity"`
	Check    string   `json:"check"` // a stable word, such as policy
	What     string   `json:"what"`
	Do       string   `json:"do,omitempty"`

	// Path is the key of the configuration that it comes from, if any; Source, Line
	// and Column are its place.
	Path   string `json:"path,omitempty"`
	Source string `json:"source,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// Where is "magne.yaml:5: pools.work.queue", as far as it is known.
func (f *Finding) Where() string {
	switch {
	case f.Path == "":
		return ""
	case f.Source == "":
		return f.Path
	case f.Line == 0:
		return f.Source + ": " + f.Path
	}
	return fmt.Sprintf("%s:%d: %s", f.Source, f.Line, f.Path)
}

// Count returns how many findings have the severity.
func Count(list []Finding, s Severity) int {
	n := 0
	for i := range list {
		if list[i].Severity == s {
			n++
		}
	}
	return n
}

// findings collects them.
type findings struct{ list []Finding }

func (f *findings) add(s Severity, check, path, do, what string, args ...any) {
	f.list = append(f.list, Finding{Severity: s, Check: check, Path: path, Do: do, What: fmt.Sprintf(what, args...)})
}

// sorted has the worst first, and else the order of the checks.
func (f *findings) sorted() []Finding {
	rank := map[Severity]int{Error: 0, Warning: 1, Unknown: 2, Info: 3}
	slices.SortStableFunc(f.list, func(a, b Finding) int { return cmp.Compare(rank[a.Severity], rank[b.Severity]) })
	return f.list
}
