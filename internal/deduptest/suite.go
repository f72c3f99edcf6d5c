package deduptest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/task/dedup"
)

// Run checks a store, with keys that begin with the name of the test. pass lets the
// store's time go on by d.
func Run(t *testing.T, s dedup.Store, pass func(d time.Duration)) {
	t.Helper()
	for name, check := range map[string]func(*testing.T, dedup.Store, func(time.Duration)){
		"one of many": oneOfMany, "many of many": manyOfMany, "done": done, "release": release, "lease": lease,
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

// manyOfMany: six processes try thirty keys at once and in another order each. Every
// key is fresh for one of them, and done for all in the end.
func manyOfMany(t *testing.T, s dedup.Store, _ func(time.Duration)) {
	const processes, keys = 6, 30
	var runs [keys]atomic.Int64
	var all sync.WaitGroup
	for p := range processes {
		all.Go(func() {
			for i := range keys {
				k := (i*(p+1) + p) % keys // in some order; not every one has each key
				key := fmt.Sprintf("%s/%d", t.Name(), k)
				state, token, err := s.Begin(context.WithoutCancel(t.Context()), key, long)
				if err == nil && state == dedup.Fresh {
					runs[k].Add(1)
					err = s.Done(context.WithoutCancel(t.Context()), key, token)
				}
				if err != nil {
					t.Errorf("key %d: %v", k, err)
				}
			}
		})
	}
	all.Wait()
	for k := range runs {
		state, _, err := s.Begin(t.Context(), fmt.Sprintf("%s/%d", t.Name(), k), long)
		if runs[k].Load() != 1 || state != dedup.Done || err != nil {
			t.Errorf("key %d: fresh %d times, then %v, %v", k, runs[k].Load(), state, err)
		}
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
