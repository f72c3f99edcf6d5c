package task_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/magne-actors/magne-actors/task"
)

type quotaError struct{}

func (quotaError) Error() string { return "no quota" }

func TestErrorKind(t *testing.T) {
	limited := task.WithKind(errors.New("slow down"), "rate_limited")
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"nil", nil, ""},
		{"nil with a kind", task.WithKind(nil, "x"), ""},
		{"plain", errors.New("x"), "error"},
		{"given", limited, "rate_limited"},
		{"given and wrapped", fmt.Errorf("charge: %w", limited), "rate_limited"},
		{"the outermost counts", task.WithKind(limited, "outer"), "outer"},
		{"an empty kind is none", task.WithKind(quotaError{}, ""), "task_test.quotaError"},
		{"discarded", task.Discard(limited), "rate_limited"},
		{"retried", task.Retry(quotaError{}, time.Second), "task_test.quotaError"},
		{"retried without an error", task.Retry(nil, 0), "error"},
		{"a type", &fs.PathError{Op: "open", Path: "x", Err: errors.New("y")}, "fs.PathError"},
		{"a wrapped type", fmt.Errorf("a: %w", fmt.Errorf("b: %w", quotaError{})), "task_test.quotaError"},
		{"joined", errors.Join(nil, quotaError{}, limited), "rate_limited"},
		{"joined types", fmt.Errorf("%w and %w", errors.New("x"), quotaError{}), "error"},
		{"a deadline", fmt.Errorf("get: %w", context.DeadlineExceeded), "timeout"},
		{"a panic", &task.PanicError{Value: quotaError{}}, "panic"},
		{"lines", task.WithKind(errors.New("x"), " a\n\tb\xff "), "a b"},
	} {
		if got := task.ErrorKind(c.err); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if got := task.ErrorKind(task.WithKind(errors.New("x"), strings.Repeat("é", 500))); len(got) > 128 || !utf8.ValidString(got) {
		t.Errorf("a long kind has %d bytes: %q", len(got), got)
	}
	if err := task.WithKind(quotaError{}, "x"); err.Error() != "no quota" || !errors.Is(err, quotaError{}) {
		t.Errorf("WithKind does not wrap: %v", err)
	}
}

func ExampleWithKind() {
	err := task.WithKind(errors.New("429 Too Many Requests"), "rate_limited")
	fmt.Println(task.ErrorKind(fmt.Errorf("charge: %w", err)))
	// Output: rate_limited
}
