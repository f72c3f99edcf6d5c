package copies_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/internal/copies"
	"github.com/magne-actors/magne-actors/internal/health"
	"github.com/magne-actors/magne-actors/supervisor"
)

// roleVariable makes the test binary a copy instead.
const roleVariable = "COPIES_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(play(role))
	}
	os.Exit(m.Run())
}

// play is a copy. Its role says how it misbehaves: "exit 2", "stubborn", "once 2"
// (it exits with 2 from the second time on), or "good" for not at all.
func play(role string) int {
	number := copies.Number()
	mark := filepath.Join(os.Getenv("COPIES_TEST_DIR"), strconv.Itoa(number))
	_, notFirst := os.Stat(mark)
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return 1
	}
	var word string
	var code int
	_, _ = fmt.Sscan(role, &word, &code)
	if word == "exit" || word == "once" && notFirst == nil {
		fmt.Fprintln(os.Stderr, "magne-actors: it cannot work")
		fmt.Fprintln(os.Stderr, "  do something")
		return code
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	log.Info("hello", "pool", "p", "n", 7)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	served := make(chan error, 1)
	events := new(control.Events)
	events.Add(supervisor.Event{Type: supervisor.EventStarted, ID: "p/1", Time: time.Now()})
	go func() { served <- control.Serve(ctx, os.Getenv("MAGNE_CONTROL_SOCKET"), sourceOf(number, events), nil) }()
	for {
		select {
		case err := <-served:
			fmt.Println("control:", err)
			return 1
		case sig := <-signals:
			switch {
			case word == "stubborn" && sig == syscall.SIGTERM:
			case sig == syscall.SIGTERM:
				return 0
			default:
				return 1
			}
		}
	}
}

// sourceOf is what a copy shows: a pool whose size is what it was scaled to.
func sourceOf(number int, events *control.Events) control.Source {
	var size atomic.Int64
	size.Store(1)
	state := atomic.Pointer[string]{}
	state.Store(new("consuming"))
	tree := func() *supervisor.Node {
		return &supervisor.Node{ID: "root", Kind: "root", State: "up", PID: new(os.Getpid()), Children: []*supervisor.Node{
			{ID: "broker", Kind: "broker", State: "connected"},
			{ID: "router:p", Kind: "router", State: *state.Load(), InFlight: new(int64(number)), High: new(size.Load())},
			{ID: "p/1", Kind: "worker", State: "up"},
		}}
	}
	onPool := func(pool string) error {
		if pool != "p" {
			return supervisor.ErrNotFound
		}
		return nil
	}
	return control.Source{
		Version: "test", Tree: tree, Events: events,
		Tasks: func() []control.Task {
			return []control.Task{{ID: "p#1", Pool: "p", Worker: "p/1", Since: time.Unix(int64(100-number), 0)}}
		},
		Scale: func(_ context.Context, pool string, n int) error {
			if n == 13 && number == 2 {
				return errors.New("unlucky")
			}
			if err := onPool(pool); err != nil {
				return err
			}
			size.Store(int64(n))
			return nil
		},
		Pause: func(_ context.Context, pool string) error {
			state.Store(new("suspended"))
			return onPool(pool)
		},
		Restart: func(_ context.Context, id string) error { return onPool(id) },
		Cancel: func(_ context.Context, id string) (int, error) {
			if id == "p#1" || id == "odd@2" && number == 1 {
				return 1, nil
			}
			return 0, supervisor.ErrNotFound
		},
		Reload: func(context.Context) ([]control.Change, error) {
			return []control.Change{{Pool: "p", Action: "scale", Text: "1 -> 2"}}, nil
		},
		Report: func(context.Context) (any, error) {
			r := health.Report{Ready: number != 2, Pools: []health.Pool{{Pool: "p"}}}
			if number == 2 {
				r.Reasons = []string{"it is the second"}
			}
			return r, r.Err()
		},
	}
}
