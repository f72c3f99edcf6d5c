package sqlstore_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx

	"github.com/magne-actors/magne-actors/task/dedup"
	"github.com/magne-actors/magne-actors/task/dedup/sqlstore"
)

// postgresEnv names a PostgreSQL for these tests, such as
// postgres://user:password@127.0.0.1/db; they make tables of their own there and drop
// them.
const postgresEnv = "MAGNE_TEST_POSTGRES"

// openPostgres opens the server of postgresEnv, with the session's default isolation
// level, and skips the test when none is named.
func openPostgres(t *testing.T, isolation string) (*sql.DB, *sqlstore.Store, string) {
	t.Helper()
	url := os.Getenv(postgresEnv)
	if url == "" {
		t.Skip(postgresEnv + " names no PostgreSQL")
	}
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(10)
	suffix := strings.ToLower(rand.Text()[:12])
	effects := "magne_effects_" + suffix
	s := sqlstore.New(db, sqlstore.Options{Dialect: sqlstore.Postgres, Table: "magne_dedup_" + suffix})
	for range 2 { // it may be there
		if err := s.Create(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Exec("CREATE TABLE " + effects + " (n INTEGER)"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = db.Exec("DROP TABLE " + effects + ", magne_dedup_" + suffix) })
	if isolation != "" {
		separator := map[bool]string{true: "&", false: "?"}[strings.Contains(url, "?")]
		strict, err := sql.Open("pgx", url+separator+"default_transaction_isolation="+strings.ReplaceAll(isolation, " ", "%20"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = strict.Close() })
		db = strict
		s = sqlstore.New(db, sqlstore.Options{Dialect: sqlstore.Postgres, Table: "magne_dedup_" + suffix})
	}
	return db, s, effects
}

// TestPostgres passes what SQLite passes, at each isolation level.
func TestPostgres(t *testing.T) {
	for _, isolation := range []string{"", "repeatable read", "serializable"} {
		t.Run(cmp.Or(isolation, "default"), func(t *testing.T) {
			t.Parallel()
			db, s, effects := openPostgres(t, isolation)
			theEffectHappensOnce(t, db, s, effects)
			if isolation == "" {
				suite(t, s)
			}
		})
	}
}

// TestAMarkWaitsForTheOther that is just marking the key: it may be rolled back yet.
func TestAMarkWaitsForTheOther(t *testing.T) {
	for name, commit := range map[string]bool{"commit": true, "rollback": false} {
		t.Run(name, func(t *testing.T) {
			db, s, _ := openPostgres(t, "")
			first, err := db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = first.Rollback() }()
			if marked, err := s.Mark(t.Context(), first, "key"); !marked || err != nil {
				t.Fatalf("the first: %v, %v", marked, err)
			}
			second := make(chan bool, 1)
			var both sync.WaitGroup
			both.Go(func() {
				ran, err := s.Once(context.WithoutCancel(t.Context()), "key", func(context.Context, *sql.Tx) error { return nil })
				if err != nil {
					t.Error(err)
				}
				second <- ran
			})
			waiting := "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND state = 'active' AND datname = current_database()"
			for n := 0; n == 0; { // until the server says that it waits
				if err := db.QueryRow(waiting).Scan(&n); err != nil {
					t.Fatal(err)
				}
			}
			if commit {
				err = first.Commit()
			} else {
				err = first.Rollback()
			}
			both.Wait()
			if ran := <-second; err != nil || ran == commit {
				t.Errorf("%v; the second ran: %v", err, ran)
			}
		})
	}
}

// TestOddKeys: a message-id may be any 255 bytes, and so may the names in a key.
func TestOddKeys(t *testing.T) {
	stores := map[string]func(t *testing.T) *sqlstore.Store{
		"sqlite":   func(t *testing.T) *sqlstore.Store { _, s := open(t); return s },
		"postgres": func(t *testing.T) *sqlstore.Store { _, s, _ := openPostgres(t, ""); return s },
	}
	long := strings.Repeat("x", 255)
	keys := []string{
		dedup.KeyOf(messageOf(long, long, long)), dedup.KeyOf(messageOf(long, long, long[1:]+"y")),
		"\xff\xfe", "\xff", "a\x00b", "a\x00c", "Ä'\"\\%", "ä'\"\\%", "key ", "key",
	}
	for name, newStore := range stores {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			for _, key := range keys {
				state, token, err := s.Begin(t.Context(), key, time.Minute)
				if err != nil || state != dedup.Fresh {
					t.Fatalf("%q: %v, %v, want fresh", key, state, err)
				}
				if err := s.Renew(t.Context(), key, token, time.Minute); err != nil {
					t.Fatal(err)
				}
				if err := s.Done(t.Context(), key, token); err != nil {
					t.Fatal(err)
				}
				if ran, err := s.Once(t.Context(), key, func(context.Context, *sql.Tx) error { return nil }); ran || err != nil {
					t.Errorf("%q is done, and was run: %v, %v", key, ran, err)
				}
			}
		})
	}
}

// TestLeasesLastByTheClockOfTheDatabase: a process whose clock is behind by more than a
// lease holds it for as long as any other. In the bubble it is the year 2000.
func TestLeasesLastByTheClockOfTheDatabase(t *testing.T) {
	_, s, _ := openPostgres(t, "")
	table := strings.Fields(s.Schema())[5] // CREATE TABLE IF NOT EXISTS table
	synctest.Test(t, func(t *testing.T) {
		late, err := sql.Open("pgx", os.Getenv(postgresEnv))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = late.Close() }()
		s := sqlstore.New(late, sqlstore.Options{Dialect: sqlstore.Postgres, Table: table})
		if state, _, err := s.Begin(t.Context(), "key", time.Hour); err != nil || state != dedup.Fresh {
			t.Errorf("the first: %v, %v", state, err)
		}
	})
	if state, _, err := s.Begin(t.Context(), "key", time.Hour); err != nil || state != dedup.Running {
		t.Errorf("the second: %v, %v, want running", state, err)
	}
	if n, err := s.Sweep(t.Context(), time.Hour); err != nil || n != 0 {
		t.Errorf("swept %d, %v, want nothing", n, err)
	}
}
