package deduptest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/task/dedup"
)

// Run checks a store, with keys that begin with the name of the test. pass lets the
// store's time go on by d.
func Run(t *testing.T, s dedup.Store, pass func(d time.Duration)) {
	t.Helper()
	for name, check := range map[string]func(*testing.T, dedup.Store, func(time.Duration)){
		"one of many": oneOfMany, "done": done, "release": release, "lease": lease,
	} {
		t.Run(name, func(t *testing.T) { check(t, s, pass) })
	}
}

const long = time.Hour

func begin(t *testing.T, s dedup.Store, lease time.Duration, want dedup.State) dedup.Token {
	t.Helper()
	state, token, err := s.Begin(t.Context(), t.Name(), lease)
	if err != nil || state != want {
		t.Fatalf("Begin: %v, %v, want %v", state, err, want)
	}
	if (state == dedup.Fresh) != (token > 0) {
		t.Errorf("%v with the token %d", state, token)
	}
	return token
}

func expect(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func oneOfMany(t *testing.T, s dedup.Store, _ func(time.Duration)) {
	var mu sync.Mutex
	var got []dedup.State
	var errs []error
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			state, _, err := s.Begin(context.WithoutCancel(t.Context()), t.Name(), long)
			mu.Lock()
			defer mu.Unlock()
			if state != dedup.Running {
				got = append(got, state)
			}
			errs = append(errs, err)
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil || !slices.Equal(got, []dedup.State{dedup.Fresh}) {
		t.Errorf("%v, %v, want one that is fresh", got, err)
	}
}

func done(t *testing.T, s dedup.Store, _ func(time.Duration)) {
	token := begin(t, s, long, dedup.Fresh)
	begin(t, s, long, dedup.Running)
	expect(t, "Done of another", s.Done(t.Context(), t.Name(), token+1), dedup.ErrLostLease)
	begin(t, s, long, dedup.Running)
	expect(t, "Done", s.Done(t.Context(), t.Name(), token), nil)
	begin(t, s, long, dedup.Done)
	expect(t, "Release", s.Release(t.Context(), t.Name(), token), nil)
	begin(t, s, long, dedup.Done)
}

func release(t *testing.T, s dedup.Store, _ func(time.Duration)) {
	token := begin(t, s, long, dedup.Fresh)
	expect(t, "Release of another", s.Release(t.Context(), t.Name(), token+1), nil)
	begin(t, s, long, dedup.Running)
	expect(t, "Release", s.Release(t.Context(), t.Name(), token), nil)
	expect(t, "Renew", s.Renew(t.Context(), t.Name(), token, long), dedup.ErrLostLease)
	if next := begin(t, s, long, dedup.Fresh); next <= token {
		t.Errorf("the token %d follows %d", next, token)
	}
}

func lease(t *testing.T, s dedup.Store, pass func(time.Duration)) {
	first := begin(t, s, time.Second, dedup.Fresh)
	expect(t, "Renew", s.Renew(t.Context(), t.Name(), first, 3*time.Second), nil)
	pass(2 * time.Second)
	begin(t, s, long, dedup.Running)
	pass(2 * time.Second)
	second := begin(t, s, long, dedup.Fresh)
	if second <= first {
		t.Errorf("the token %d follows %d", second, first)
	}
	expect(t, "Renew by the first", s.Renew(t.Context(), t.Name(), first, long), dedup.ErrLostLease)
	expect(t, "Done by the first", s.Done(t.Context(), t.Name(), first), dedup.ErrLostLease)
	expect(t, "Release by the first", s.Release(t.Context(), t.Name(), first), nil)
	begin(t, s, long, dedup.Running)
	expect(t, "Done by the second", s.Done(t.Context(), t.Name(), second), nil)
}
