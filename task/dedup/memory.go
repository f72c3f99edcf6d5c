package dedup

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

func isLost(err error) bool { return errors.Is(err, ErrLostLease) }

// Memory is a Store for tests and for one process; what it has marked it keeps for
// ever. The zero value is empty.
type Memory struct {
	mu    sync.Mutex
	keys  map[string]*entry
	token Token
}

type entry struct {
	token Token
	until time.Time
	done  bool
}

// Begin implements Store.
func (s *Memory) Begin(ctx context.Context, key string, lease time.Duration) (State, Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, now := s.keys[key], time.Now()
	switch {
	case ctx.Err() != nil:
		return 0, 0, ctx.Err()
	case e != nil && e.done:
		return Done, 0, nil
	case e != nil && now.Before(e.until):
		return Running, 0, nil
	}
	if s.keys == nil {
		s.keys = map[string]*entry{}
	}
	s.token++
	s.keys[key] = &entry{token: s.token, until: now.Add(lease)}
	return Fresh, s.token, nil
}

// Renew implements Store.
func (s *Memory) Renew(_ context.Context, key string, t Token, lease time.Duration) error {
	return s.with(key, t, func(e *entry) { e.until = time.Now().Add(lease) })
}

// Done implements Store.
func (s *Memory) Done(_ context.Context, key string, t Token) error {
	return s.with(key, t, func(e *entry) { e.done = true })
}

// Release implements Store.
func (s *Memory) Release(_ context.Context, key string, t Token) error {
	_ = s.with(key, t, func(*entry) { delete(s.keys, key) }) // what is not held is no error
	return nil
}

func (s *Memory) with(key string, t Token, f func(*entry)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.keys[key]
	if e == nil || e.token != t || e.done {
		return fmt.Errorf("dedup: %q: %w", key, ErrLostLease)
	}
	f(e)
	return nil
}
