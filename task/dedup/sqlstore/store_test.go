package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/magne-actors/magne-actors/internal/deduptest"
	"github.com/magne-actors/magne-actors/task"
	"github.com/magne-actors/magne-actors/task/dedup"
	"github.com/magne-actors/magne-actors/task/dedup/sqlstore"
)

func open(t *testing.T) (*sql.DB, *sqlstore.Store) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "d.db")+"?_pragma=busy_timeout(60000)&_pragma=journal_mode(WAL)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s := sqlstore.New(db, sqlstore.Options{})
	for range 2 { // it may be there
		if err := s.Create(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Exec("CREATE TABLE effects (n INTEGER)"); err != nil {
		t.Fatal(err)
	}
	return db, s
}

func messageOf(queue, name, id string) *task.Message {
	return &task.Message{Queue: queue, Name: name, ID: id}
}

func suite(t *testing.T, s dedup.Store) {
	t.Helper()
	deduptest.Run(t, s, func(d time.Duration) { <-time.After(d) })
}

func TestStore(t *testing.T) {
	_, s := open(t)
	suite(t, s)
}

// The token of a key that was given back by a process whose clock is ahead is smaller
// than the next one, too.
func TestTokensGrowWhateverTheClocksSay(t *testing.T) {
	db, s := open(t)
	_, first, err := s.Begin(t.Context(), "key", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	first += dedup.Token(time.Hour)
	if _, err := db.Exec("UPDATE magne_dedup SET token = ?", int64(first)); err != nil {
		t.Fatal(err)
	}
	if err := s.Release(t.Context(), "key", first); err != nil {
		t.Fatal(err)
	}
	if err := s.Renew(t.Context(), "key", first, time.Minute); !errors.Is(err, dedup.ErrLostLease) {
		t.Errorf("renewed after the release: %v", err)
	}
	state, next, err := s.Begin(t.Context(), "key", time.Minute)
	if err != nil || state != dedup.Fresh || next <= first {
		t.Errorf("%v, token %d after %d, %v", state, next, first, err)
	}
}

func TestTheEffectHappensOnce(t *testing.T) {
	db, s := open(t)
	theEffectHappensOnce(t, db, s, "effects")
}

// theEffectHappensOnce although many try at once, some fail, and all try again. effects
// is an empty table with a number.
func theEffectHappensOnce(t *testing.T, db *sql.DB, s *sqlstore.Store, effects string) {
	t.Helper()
	var ran, failures atomic.Int64
	effect := func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "INSERT INTO "+effects+" VALUES (1)"); err != nil {
			return err
		}
		if failures.Add(1) <= 5 {
			return errors.New("after the effect") // it is rolled back
		}
		return nil
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for {
				once, err := s.Once(context.WithoutCancel(t.Context()), "key", effect)
				if once {
					ran.Add(1)
				}
				if err == nil {
					return
				}
			}
		})
	}
	all.Wait()
	var n int
	if err := db.QueryRow("SELECT COUNT(*) FROM " + effects).Scan(&n); err != nil || n != 1 || ran.Load() != 1 {
		t.Errorf("%d effects, %d times told, %v, want 1", n, ran.Load(), err)
	}
	if state, _, err := s.Begin(t.Context(), "key", time.Minute); err != nil || state.String() != "done" {
		t.Errorf("%v, %v, want done", state, err)
	}
	if n, err := s.Sweep(t.Context(), -time.Minute); err != nil || n != 1 {
		t.Errorf("swept %d, %v, want 1", n, err)
	}
}

func TestParameters(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a name of a table that is none is taken")
		}
	}()
	sqlstore.New(nil, sqlstore.Options{Table: "x; DROP TABLE y"})
}

// The effect of a task and the mark that it is done are one transaction: the message
// may be delivered as often as it likes.
func Example() {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		panic(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	store := sqlstore.New(db, sqlstore.Options{})
	if err := store.Create(context.Background()); err != nil {
		panic(err)
	}
	charge := func(ctx context.Context, tx *sql.Tx) error {
		fmt.Println("charging")
		return nil
	}
	for range 2 {
		fmt.Println(store.Once(context.Background(), "order-17", charge))
	}
	// Output:
	// charging
	// true <nil>
	// false <nil>
}
