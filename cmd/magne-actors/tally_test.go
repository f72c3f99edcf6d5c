package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/broker"
)

// Who lacks a right is told which one: for delays it is that of the ladder.
func TestForbiddenHint(t *testing.T) {
	for name, c := range map[string]struct {
		due  *time.Time
		want string
	}{"now": {nil, "--exchange"}, "later": {new(time.Now()), "^magne\\.v1\\.delay\\."}} {
		err := (&published{Due: c.due}).failure(nil, broker.ErrForbidden)
		if told, ok := errors.AsType[*statusError](err); !ok || !strings.Contains(told.hint, c.want) {
			t.Errorf("%s: got %v, want a hint with %q", name, err, c.want)
		}
	}
}
