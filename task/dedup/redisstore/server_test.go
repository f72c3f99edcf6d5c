package redisstore_test

import (
	"context"
	"crypto/rand"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/magne-actors/magne-actors/internal/deduptest"
	"github.com/magne-actors/magne-actors/task/dedup"
	"github.com/magne-actors/magne-actors/task/dedup/redisstore"
)

// redisEnv names a Redis for these tests, such as redis://:password@127.0.0.1:6379/0;
// their keys begin with a random prefix and are removed.
const redisEnv = "MAGNE_TEST_REDIS"

func openRedis(t *testing.T) (*redis.Client, string) {
	t.Helper()
	url := os.Getenv(redisEnv)
	if url == "" {
		t.Skip(redisEnv + " names no Redis")
	}
	o, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(redisEnv + " is no URL of a Redis") // without its password
	}
	client, prefix := redis.NewClient(o), "magne-test-"+rand.Text()+":"
	t.Cleanup(func() {
		all, err := client.Keys(context.Background(), prefix+"*").Result()
		if err == nil && len(all) > 0 {
			_ = client.Del(context.Background(), all...).Err()
		}
		_ = client.Close()
	})
	return client, prefix
}

// TestRedis passes what miniredis passes, with the server's own clock and scripts.
func TestRedis(t *testing.T) {
	client, prefix := openRedis(t)
	s := redisstore.New(client, redisstore.Options{Prefix: prefix})
	deduptest.Run(t, s, func(d time.Duration) { <-time.After(d) })
}

// TestRedisWithoutItsScripts: a server that was restarted has none of them, and a key
// may be any bytes.
func TestRedisWithoutItsScripts(t *testing.T) {
	client, prefix := openRedis(t)
	s := redisstore.New(client, redisstore.Options{Prefix: prefix, Keep: time.Hour})
	for _, key := range []string{"one", "\xff\x00 \r\n"} {
		if err := client.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		state, token, err := s.Begin(t.Context(), key, time.Minute)
		if err != nil || state != dedup.Fresh {
			t.Fatalf("%v, %v, want fresh", state, err)
		}
		if err := s.Renew(t.Context(), key, token, time.Minute); err != nil {
			t.Error(err)
		}
		if err := s.Done(t.Context(), key, token); err != nil {
			t.Error(err)
		}
		if ttl, err := client.PTTL(t.Context(), prefix+"k:"+key).Result(); err != nil || ttl <= time.Minute || ttl > time.Hour {
			t.Errorf("it is remembered for %v, %v, want an hour", ttl, err)
		}
	}
}
