package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/magne-actors/magne-actors/task/dedup"
)

// Options of New; the zero value is usable.
type Options struct {
	// Prefix of all keys; "magne:dedup:" by default. With a cluster it must contain a
	// hash tag, such as "{magne}:", since a script uses the counter and the key.
	Prefix string
	// Keep is how long a key stays marked as done: longer than the same message may
	// come again. 24 h by default.
	Keep time.Duration
}

// Store implements dedup.Store.
type Store struct {
	client redis.UniversalClient
	o      Options

	begin, renew, done, release *redis.Script
}

var _ dedup.Store = (*Store)(nil)

// doneMark is what a key that is done holds; a running one holds its token.
const doneMark = "done"

// New returns a store on a client that stays the caller's to close.
func New(client redis.UniversalClient, o Options) *Store {
	o.Prefix = cmp.Or(o.Prefix, "magne:dedup:")
	o.Keep = cmp.Or(o.Keep, 24*time.Hour)
	return &Store{
		client: client, o: o,
		// The token is taken only when the key is free: a number more does not matter,
		// two round trips do.
		begin: redis.NewScript(`
			local v = redis.call('GET', KEYS[1])
			if v then return v end
			local t = redis.call('INCR', KEYS[2])
			redis.call('SET', KEYS[1], t, 'NX', 'PX', ARGV[1])
			return t`),
		renew: redis.NewScript(`
			if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
			return redis.call('PEXPIRE', KEYS[1], ARGV[2])`),
		done: redis.NewScript(`
			if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
			redis.call('SET', KEYS[1], '` + doneMark + `', 'PX', ARGV[2])
			return 1`),
		release: redis.NewScript(`
			if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
			return redis.call('DEL', KEYS[1])`),
	}
}

// Begin implements dedup.Store.
func (s *Store) Begin(ctx context.Context, key string, lease time.Duration) (dedup.State, dedup.Token, error) {
	// A script answers with a number when it has taken the key, with a string when
	// the key was there.
	got, err := s.begin.Run(ctx, s.client, []string{s.o.Prefix + "k:" + key, s.o.Prefix + "tokens"}, millis(lease)).Result()
	if err != nil {
		return 0, 0, fmt.Errorf("redisstore: %w", err)
	}
	switch v := got.(type) {
	case int64:
		return dedup.Fresh, dedup.Token(v), nil
	case string:
		if v == doneMark {
			return dedup.Done, 0, nil
		}
		return dedup.Running, 0, nil
	}
	return 0, 0, fmt.Errorf("redisstore: unexpected answer of type %T", got)
}

// Renew implements dedup.Store.
func (s *Store) Renew(ctx context.Context, key string, t dedup.Token, lease time.Duration) error {
	return s.change(ctx, s.renew, key, t, millis(lease))
}

// Done implements dedup.Store.
func (s *Store) Done(ctx context.Context, key string, t dedup.Token) error {
	return s.change(ctx, s.done, key, t, millis(s.o.Keep))
}

// Release implements dedup.Store.
func (s *Store) Release(ctx context.Context, key string, t dedup.Token) error {
	if err := s.change(ctx, s.release, key, t); err != nil && !errors.Is(err, dedup.ErrLostLease) {
		return err
	}
	return nil
}

// change runs a script that answers 1 if the token holds the key.
func (s *Store) change(ctx context.Context, script *redis.Script, key string, t dedup.Token, args ...any) error {
	args = append([]any{strconv.FormatInt(int64(t), 10)}, args...)
	n, err := script.Run(ctx, s.client, []string{s.o.Prefix + "k:" + key}, args...).Int()
	switch {
	case err != nil:
		return fmt.Errorf("redisstore: %w", err)
	case n == 0:
		return fmt.Errorf("redisstore: %q: %w", key, dedup.ErrLostLease)
	}
	return nil
}

// millis is at least 1: Redis refuses an expiry of 0.
func millis(d time.Duration) int64 { return max(1, d.Milliseconds()) }
