package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// FieldError is one mistake in a configuration, or one warning about it.
type FieldError struct {
	// Source is the name of the file, or of the environment variable that set
	// the value; then Line and Column are 0.
	Source  string `json:"source"`
	Path    string `json:"path,omitempty"`   // the key: pools.latency.watermarks.low
	Line    int    `json:"line,omitempty"`   // from 1
	Column  int    `json:"column,omitempty"` // from 1; 0 when it is not known
	Message string `json:"message"`          // what is wrong and what to do about it
}

// Error is "magne.yaml:12:5: pools.latency.watermarks.low: what is wrong"; parts
// that do not apply are left out.
func (e *FieldError) Error() string {
	var b strings.Builder
	b.WriteString(e.Source)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
		if e.Column > 0 {
			fmt.Fprintf(&b, ":%d", e.Column)
		}
	}
	if e.Path != "" {
		b.WriteString(": " + e.Path)
	}
	b.WriteString(": " + e.Message)
	return b.String()
}

// Errors are all the mistakes in a configuration, those of the file by line and
// then those of the environment. errors.As finds each *FieldError in it.
type Errors []*FieldError

// Error is one line for each mistake.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the single mistakes.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, err := range e {
		all[i] = err
	}
	return all
}

// sorted orders by place; what has no line (environment) comes last.
func sorted(errs []*FieldError) Errors {
	out := slices.Clone(errs)
	slices.SortStableFunc(out, func(a, b *FieldError) int {
		if (a.Line == 0) != (b.Line == 0) {
			return cmp.Compare(b.Line, a.Line)
		}
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Source, b.Source))
	})
	return out
}

// nearest is the word that was probably meant, or "".
func nearest(word string, words []string) string {
	best, distance := "", min(max(2, len(word)/3)+1, len(word))
	for _, w := range words {
		if d := levenshtein.Distance(strings.ToLower(word), strings.ToLower(w), nil); d < distance {
			best, distance = w, d
		}
	}
	return best
}

// oneOf is the end of a message about a word that is none of words.
func oneOf(word string, words []string) string {
	if near := nearest(word, words); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "use " + enumerate(words, "or")
}

// enumerate is "a, b or c".
func enumerate(words []string, last string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	n := len(words) - 1
	return strings.Join(words[:n], ", ") + " " + last + " " + words[n]
}
