package faults

import (
	"context"
	"regexp"
	"slices"
	"time"
)

// Fault is one thing that goes wrong.
type Fault struct {
	Name  string // for people and for -run
	Title string // what happens, one line

	// lasts is the time between inject and heal; 0: heal follows at once, or there
	// is nothing to heal.
	lasts  time.Duration
	inject func(ctx context.Context, r *rig) error
	heal   func(ctx context.Context, r *rig) error // nil: nothing to heal
	// able returns when the broker is able to deliver again. nil: when another
	// client can connect and consume in the instance's way.
	able func(ctx context.Context, r *rig) error

	// keeps says that the instance goes on consuming meanwhile, so that /readyz has no
	// reason to fail.
	keeps   bool
	removes bool // messages go with it
	// anywhere says that it can happen to the embedded broker, too.
	anywhere bool
	// renews says that the instance must subscribe anew.
	renews bool
	why    *regexp.Regexp // what `why` must say while it lasts
	// brief says that what it does is over in a moment each time: an event may say the
	// cause in place of `why`, which nobody may have asked in time.
	brief bool
	// more is how much longer than usual the recovery may take, and reason why.
	more   time.Duration
	reason string
}

// Faults returns all faults, in the order in which they are run.
func Faults() []Fault {
	return slices.Concat(nodeFaults(), connectionFaults(), accessFaults(), queueFaults(), networkFaults())
}

// Embedded returns those of Faults that the embedded broker can suffer from.
func Embedded() []Fault {
	return slices.DeleteFunc(Faults(), func(f Fault) bool { return !f.anywhere })
}

// Short returns the faults that the normal tests run: one of each kind.
func Short() []Fault {
	var list []Fault
	for _, f := range Faults() {
		if slices.Contains([]string{"connections-closed", "queue-deleted", "permission-read", "refused", "cut-in-frame"}, f.Name) {
			list = append(list, f)
		}
	}
	return list
}

// says compiles what `why` must say.
func says(pattern string) *regexp.Regexp { return regexp.MustCompile("(?i)" + pattern) }
