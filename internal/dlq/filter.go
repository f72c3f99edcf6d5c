package dlq

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Filter says which dead letters are meant: those that fit all of what is set. Of a
// list, one must fit.
type Filter struct {
	IDs, Groups, Reasons, Tasks []string

	Before time.Time // first seen before this; a letter that does not say when does not fit
	All    bool      // nothing else needs to be set
}

var (
	// ErrNoFilter: nothing says which letters are meant.
	ErrNoFilter = errors.New("which dead letters?")
	// ErrAllAndMore: all are meant, and only some.
	ErrAllAndMore = errors.New("all dead letters, and only some of them?")
)

// Empty reports whether nothing is set that excludes a letter.
func (f *Filter) Empty() bool {
	return len(f.IDs)+len(f.Groups)+len(f.Reasons)+len(f.Tasks) == 0 && f.Before.IsZero()
}

// Check refuses a filter by which something would be changed that nobody has named.
func (f *Filter) Check() error {
	switch {
	case f.Empty() && !f.All:
		return ErrNoFilter
	case !f.Empty() && f.All:
		return ErrAllAndMore
	}
	return nil
}

// Match reports whether the letter is meant.
func (f *Filter) Match(l *Letter) bool {
	fits := func(list []string, value string) bool { return len(list) == 0 || slices.Contains(list, value) }
	return fits(f.IDs, l.ID) && fits(f.Groups, l.Group) && fits(f.Reasons, l.Reason) && fits(f.Tasks, l.Task) &&
		(f.Before.IsZero() || l.FirstSeen != nil && l.FirstSeen.Before(f.Before))
}

// ParseBefore reads a moment as RFC 3339 or a date, in UTC, or how long ago it was:
// 90m, 24h.
func ParseBefore(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	return time.Time{}, fmt.Errorf("%q is no moment: want 2026-12-01T08:00:00Z, 2026-12-01 or how long ago, as 24h", text)
}
