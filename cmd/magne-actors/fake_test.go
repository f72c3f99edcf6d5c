package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/supervisor"
)

// fakeInstance is the program `instance SOCKET` of the scripts: an instance with a
// pool mail that does what it is asked for, until it gets a signal. It listens at
// $LISTEN, too, for those who know $TOKEN.
func fakeInstance() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	src := fakeSource()
	ended := make(chan error, 2)
	go func() { ended <- control.Serve(ctx, os.Args[1], src, nil) }()
	go func() {
		if os.Getenv("LISTEN") == "" {
			ended <- nil
			return
		}
		ended <- control.ServeTCP(ctx, control.TCP{Address: os.Getenv("LISTEN"), Token: os.Getenv("TOKEN")}, src, nil)
	}()
	if err := errors.Join(<-ended, <-ended); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func fakeSource() control.Source {
	events, logs := new(control.Events), control.NewLogs(slog.NewTextHandler(new(bytes.Buffer), nil))
	log := slog.New(logs.Handler())
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	events.Add(supervisor.Event{Time: at, Type: supervisor.EventStarted, ID: "broker", Generation: 1})
	events.Add(supervisor.Event{Time: at, Type: "consuming", ID: "router:mail", Generation: 1})
	events.Add(supervisor.Event{Time: at, Type: supervisor.EventFailed, ID: "mail/3", Generation: 2, Error: "exit 1"})
	log.Info("consuming", "pool", "mail", "high", 64)
	log.Warn("connection lost", "err", "EOF")
	log.Error("child failed", "actor", "mail/3", "err", "exit 1\nat once")
	return control.Source{
		Version: "0.0.0", Events: events, Logs: logs,
		Tree:    fakeTree,
		Restart: func(_ context.Context, id string) error { return ifThere(id) },
		Scale:   func(_ context.Context, pool string, _ int) error { return ifThere("pool:" + pool) },
		Limit: func(_ context.Context, pool string, high, _ int) error {
			if high > 100 {
				return errors.New("actors: limit mail: high of 200 is more than the prefetch")
			}
			return ifThere("pool:" + pool)
		},
		Pause:  func(_ context.Context, pool string) error { return ifThere("pool:" + pool) },
		Resume: func(_ context.Context, pool string) error { return ifThere("pool:" + pool) },
		Cancel: func(_ context.Context, id string) (int, error) {
			if id != "mail#17" {
				return 0, supervisor.ErrNotFound
			}
			return 1, nil
		},
		Signal:  func(id string, _ syscall.Signal) error { return ifThere(id) },
		Recycle: func(_ context.Context, id string) error { return ifThere(id) },
		Kill:    func(string) error { return errors.New("process: mail/3 is not running") },
		Reload: func(context.Context) ([]control.Change, error) {
			return fakeChanges(), errors.New("reload: pool new: queue is locked")
		},
		Diff: func(_ context.Context, yaml []byte) ([]control.Change, error) {
			if strings.Contains(string(yaml), "thraed") {
				return nil, &control.InvalidError{Mistakes: []string{"new.yaml:2:3: pools.mail.mode: \"thraed\" is not known", "new.yaml:3:3: no"}}
			}
			return fakeChanges(), nil
		},
	}
}

func fakeChanges() []control.Change {
	return []control.Change{
		{Pool: "mail", Action: "scale", Keys: []string{"workers"}, Text: "workers 8 -> 16"},
		{Pool: "new", Action: "add"},
		{Action: "manual", Keys: []string{"broker.url"}, Text: "broker.url differs"},
	}
}

func fakeTree() *supervisor.Node {
	node := func(id, kind, state string, children ...*supervisor.Node) *supervisor.Node {
		return &supervisor.Node{ID: id, Kind: kind, State: state, Children: append([]*supervisor.Node{}, children...)}
	}
	slot := node("mail/3", "slot", "busy")
	slot.Task, slot.RSS, slot.Generation, slot.LastExit = "mail#17", 300<<20, 4, "exit status 1 after 41ms"
	return node("root", "root", "up", node("broker", "broker", "connected"),
		node("mail", "sup", "up", node("router:mail", "router", "consuming"), node("pool:mail", "pool", "up", slot)))
}

// ifThere returns an error if no node of the fake has the id.
func ifThere(id string) error {
	if !slices.Contains([]string{"pool:mail", "mail/3"}, id) {
		return fmt.Errorf("actors: %s: %w", id, supervisor.ErrNotFound)
	}
	return nil
}

// answers is the command `answers SOCKET` of the scripts: it waits until an
// instance answers there.
func answers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: answers SOCKET")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := control.Client{Socket: ts.MkAbs(args[0])}.Tree(ctx)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			ts.Fatalf("%v", err)
		}
	}
}
