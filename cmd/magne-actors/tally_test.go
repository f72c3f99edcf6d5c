package main

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/spool"
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

// What the spool does not take is not for the broker to answer for.
func TestSpoolHint(t *testing.T) {
	for _, first := range []error{
		fmt.Errorf("%w: %w", broker.ErrRefused, spool.ErrFull),
		fmt.Errorf("%w: %w", errUnspooled, syscall.EROFS),
	} {
		err := (&published{Refused: 1}).failure(nil, first)
		if told, ok := errors.AsType[*statusError](err); !ok || told.status != exitTemporary || !strings.Contains(told.hint, "the spool's directory") {
			t.Errorf("%v: got %v, want a hint about the spool", first, err)
		}
	}
}
