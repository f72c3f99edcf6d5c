package sqlstore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/magne-actors/magne-actors/task/dedup"
)

// Dialect says how a database wants its parameters.
type Dialect uint8

const (
	Question Dialect = iota // ?: SQLite 3.24 and later
	Postgres                // $1, $2
)

// Options of New; the zero value is usable.
type Options struct {
	Dialect Dialect
	Table   string // "magne_dedup" by default; letters, digits, _ and one . for a schema
}

// Store implements dedup.Store. It is safe for concurrent use.
type Store struct {
	db *sql.DB
	o  Options
}

var _ dedup.Store = (*Store)(nil)

// tables are the names that need no quotes.
const tables = `^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$`

// New returns a store on a database that stays the caller's to close. It panics if the
// table's name is none.
func New(db *sql.DB, o Options) *Store {
	o.Table = cmp.Or(o.Table, "magne_dedup")
	if !regexp.MustCompile(tables).MatchString(o.Table) {
		panic(fmt.Sprintf("sqlstore: %q is no name of a table", o.Table))
	}
	return &Store{db: db, o: o}
}

// Schema is the statement that makes the table if it is missing. until is in Unix
// milliseconds by the clock of the database: the end of the lease, and when done is 1,
// when it was marked. id is the key, or its SHA-256 where the key is longer than 512
// bytes or no text.
func (s *Store) Schema() string {
	return "CREATE TABLE IF NOT EXISTS " + s.o.Table +
		" (id VARCHAR(512) PRIMARY KEY, token BIGINT NOT NULL, until BIGINT NOT NULL, done SMALLINT NOT NULL)"
}

// Create runs Schema.
func (s *Store) Create(ctx context.Context) error {
	if _, err := s.db.ExecContext(ctx, s.Schema()); err != nil {
		return fmt.Errorf("sqlstore: create the table %s: %w", s.o.Table, err)
	}
	return nil
}

// Sweep removes the keys that were marked more than keep ago, or whose lease is over
// for that time, and returns how many. Call it now and then: a day is usual for keep,
// and it must be longer than a message may come again.
func (s *Store) Sweep(ctx context.Context, keep time.Duration) (int64, error) {
	r, err := s.db.ExecContext(ctx, s.q("DELETE FROM @ WHERE until < NOW - ?"), keep.Milliseconds())
	if err != nil {
		return 0, fmt.Errorf("sqlstore: sweep: %w", err)
	}
	return r.RowsAffected()
}

// Once runs effect in a transaction that also marks the key, and reports whether it
// did: false means that the key was done before, and effect was not called, or was
// rolled back because another one was quicker. When effect returns an error all is
// rolled back. What effect does outside of tx is not covered. It blocks as long as the
// database does for a key that another transaction is just marking.
func (s *Store) Once(ctx context.Context, key string, effect func(ctx context.Context, tx *sql.Tx) error) (ran bool, err error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return false, fmt.Errorf("sqlstore: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // after Commit it does nothing
	ran, err = s.Mark(ctx, tx, key)
	if err != nil || !ran {
		return false, err
	}
	if err := effect(ctx, tx); err != nil {
		return false, err
	}
	if err := tx.Commit(); err != nil {
		return false, fmt.Errorf("sqlstore: commit %q: %w", key, err)
	}
	return true, nil
}

// Mark marks the key in a transaction of the caller's, and reports whether it was not
// done yet; if it was, the caller is to do nothing and roll back. Mark first: the row
// keeps others with the same key waiting until the end of tx.
func (s *Store) Mark(ctx context.Context, tx *sql.Tx, key string) (bool, error) {
	r, err := tx.ExecContext(ctx, s.q("UPDATE @ SET done = 1, until = NOW WHERE id = ? AND done = 0"), idOf(key))
	if n, failed := affected(r, err); failed != nil || n > 0 {
		return n > 0, wrap("mark", key, failed)
	}
	n, err := s.insert(ctx, tx, key, 1, 0, 1)
	return n > 0, wrap("mark", key, err)
}

// Begin implements dedup.Store.
func (s *Store) Begin(ctx context.Context, key string, lease time.Duration) (dedup.State, dedup.Token, error) {
	token := time.Now().UnixNano()
	n, err := s.insert(ctx, s.db, key, token, lease, 0)
	if err != nil {
		return 0, 0, wrap("begin", key, err)
	}
	if n > 0 {
		return dedup.Fresh, dedup.Token(token), nil
	}
	var old, end, now int64
	var done int
	row := s.db.QueryRowContext(ctx, s.q("SELECT token, until, done, NOW FROM @ WHERE id = ?"), idOf(key))
	switch err := row.Scan(&old, &end, &done, &now); {
	case errors.Is(err, sql.ErrNoRows):
		return dedup.Running, 0, nil // it was given back just now
	case err != nil:
		return 0, 0, wrap("begin", key, err)
	case done == 1:
		return dedup.Done, 0, nil
	case end > now:
		return dedup.Running, 0, nil
	}
	token = max(token, old+1)
	r, err := s.db.ExecContext(ctx, s.q("UPDATE @ SET token = ?, until = NOW + ? WHERE id = ? AND token = ? AND until = ? AND done = 0"), token, lease.Milliseconds(), idOf(key), old, end)
	if n, err = affected(r, err); err != nil || n == 0 {
		return dedup.Running, 0, wrap("begin", key, err)
	}
	return dedup.Fresh, dedup.Token(token), nil
}

// Renew implements dedup.Store.
func (s *Store) Renew(ctx context.Context, key string, t dedup.Token, lease time.Duration) error {
	return s.change(ctx, "renew", key, "UPDATE @ SET until = NOW + ? WHERE id = ? AND token = ? AND done = 0", lease.Milliseconds(), idOf(key), int64(t))
}

// Done implements dedup.Store.
func (s *Store) Done(ctx context.Context, key string, t dedup.Token) error {
	// A key that the handler has marked in a transaction of its own is done as well.
	return s.change(ctx, "done", key, "UPDATE @ SET done = 1, until = NOW WHERE id = ? AND token = ?", idOf(key), int64(t))
}

// Release implements dedup.Store. The row stays until Sweep: the next holder's
// token is larger than the one in it, whatever that holder's clock says.
func (s *Store) Release(ctx context.Context, key string, t dedup.Token) error {
	err := s.change(ctx, "release", key, "UPDATE @ SET token = token + 1, until = 0 WHERE id = ? AND token = ? AND done = 0", idOf(key), int64(t))
	if errors.Is(err, dedup.ErrLostLease) {
		return nil
	}
	return err
}

func (s *Store) change(ctx context.Context, what, key, query string, args ...any) error {
	r, err := s.db.ExecContext(ctx, s.q(query), args...)
	n, err := affected(r, err)
	if err == nil && n == 0 {
		err = dedup.ErrLostLease
	}
	return wrap(what, key, err)
}

// longest is how many bytes a key may have in the table's column.
const longest = 512

// idOf is what stands in the table for a key. The ids and names in a key may be any
// bytes, 255 each, and PostgreSQL takes 512 characters of valid text without a zero.
func idOf(key string) string {
	if len(key) <= longest && utf8.ValidString(key) && !strings.ContainsRune(key, 0) {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// execer is a database or a transaction.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// insert adds the key unless it is there. It does so without an error for the second
// one, which would end a transaction of PostgreSQL.
func (s *Store) insert(ctx context.Context, to execer, key string, token int64, lease time.Duration, done int) (int64, error) {
	query := "INSERT INTO @ (id, token, until, done) VALUES (?, ?, NOW + ?, ?) ON CONFLICT (id) DO NOTHING"
	return affected(to.ExecContext(ctx, s.q(query), idOf(key), token, lease.Milliseconds(), done))
}

func affected(r sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

func wrap(what, key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("sqlstore: %s %q: %w", what, key, err)
}

// The time now in Unix milliseconds. That of PostgreSQL goes on within a transaction,
// which may have waited for another one.
const (
	nowSQLite   = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
	nowPostgres = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"
)

// q puts in the table's name, and the time and the parameters of the dialect.
func (s *Store) q(query string) string {
	now := nowSQLite
	if s.o.Dialect == Postgres {
		now = nowPostgres
	}
	query = strings.Replace(strings.Replace(query, "NOW", now, 1), "@", s.o.Table, 1)
	if s.o.Dialect != Postgres {
		return query
	}
	var b strings.Builder
	n := 0
	for _, r := range query {
		if r == '?' {
			n++
			b.WriteString("$" + strconv.Itoa(n))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
