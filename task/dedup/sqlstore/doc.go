// Package sqlstore is a [dedup.Store] in a table of an SQL database, by database/sql
// and without a driver of its own, and the mark of a done task in the transaction of
// its effect.
//
//	store := sqlstore.New(db, sqlstore.Options{Dialect: sqlstore.Postgres})
//	err := store.Create(ctx) // or a migration of yours with store.Schema()
//
// # Guarantees
//
// [Store.Once] runs a function in a transaction together with the mark of its key: of
// several that run it for one key at once, one commits, whatever dies when, as long as
// the database keeps what it has committed. The effect of the function is in the
// database exactly once. It needs no lease.
//
// As a dedup.Store the table has leases by the clock of the database, with PostgreSQL
// the server's: those of its clients may differ. When that one is set forward, leases
// end early by as much, and two processes may run a task at once.
package sqlstore
