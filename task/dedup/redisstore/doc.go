// Package redisstore is a [dedup.Store] on Redis.
//
//	store := redisstore.New(redis.NewClient(...), redisstore.Options{})
//	mux.Use(dedup.New(store, dedup.Options{}))
//
// A key is taken by SET NX PX and changed by scripts that compare the token, so that
// whoever has lost it changes nothing. The tokens come from one counter.
//
// # Guarantees
//
// Those of the Redis: one that loses writes at a failover, as replication without
// WAIT does, or evicts keys, forgets that a task is running or done, and it is run
// again. Use maxmemory-policy noeviction. Leases last by the clock of Redis.
package redisstore
