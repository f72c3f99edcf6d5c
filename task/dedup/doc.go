// Package dedup keeps a task from being run by two processes, and from being run again
// when it is done, with a store that the processes share. Within one process the
// runtime sees to that by itself, see package actors.
//
//	mux.Use(dedup.New(store, dedup.Options{}))
//
// # Guarantees
//
// While the handler of a message runs, Begin says running for its key to everybody
// else, and when it has succeeded, done, for as long as the store keeps that. The lease
// is renewed while the handler runs; when it cannot be renewed, or was taken by
// another process because this one was stopped for longer than the lease, the
// handler's context is cancelled with [ErrLostLease].
//
// That is not exactly once, and cannot be: a process that dies between the effect of a
// handler and Done leaves the effect without the mark, and the task is run again when
// its lease is over. What can be had is an effect that happens exactly once, if effect
// and mark are one transaction: package dedup/sqlstore puts the mark into the
// handler's own. For effects outside of a database, the Token that the handler
// finds with [TokenOf] is larger for each later holder of the key: whoever keeps the
// largest one that it has seen can refuse a holder whose lease is over.
//
// Messages without an ID are run as if there were no store.
//
// # Testing
//
// [Memory] is a Store within the process.
package dedup
