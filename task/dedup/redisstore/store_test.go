package redisstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/magne-actors/magne-actors/internal/deduptest"
	"github.com/magne-actors/magne-actors/task/dedup/redisstore"
)

func TestStore(t *testing.T) {
	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()
	deduptest.Run(t, redisstore.New(client, redisstore.Options{}), server.FastForward)
}

func TestDoneIsForgottenInTheEnd(t *testing.T) {
	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()
	s := redisstore.New(client, redisstore.Options{Keep: time.Hour})
	_, token, err := s.Begin(t.Context(), "k", time.Second)
	if err == nil {
		err = s.Done(t.Context(), "k", token)
	}
	if err != nil {
		t.Fatal(err)
	}
	server.FastForward(2 * time.Hour)
	if state, _, err := s.Begin(t.Context(), "k", time.Second); err != nil || state.String() != "fresh" {
		t.Errorf("%v, %v, want fresh", state, err)
	}
}

func Example() {
	server, err := miniredis.Run()
	if err != nil {
		panic(err)
	}
	defer server.Close()
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()

	store := redisstore.New(client, redisstore.Options{})
	for range 2 {
		state, _, err := store.Begin(context.Background(), "order-17", time.Minute)
		fmt.Println(state, err)
	}
	// Output:
	// fresh <nil>
	// running <nil>
}
