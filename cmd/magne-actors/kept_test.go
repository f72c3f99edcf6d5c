package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/supervisor"
)

// TestTheControlAPIAnswersWhoRestartsWhatItStandsAfter: its node is restarted, and the
// command that asks for it has its answer on the same connection.
func TestTheControlAPIAnswersWhoRestartsWhatItStandsAfter(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	sys := supervisor.NewSystem(nil)
	defer sys.Close()
	keeper := newKeeper(t.Context())
	source := control.Source{Restart: sys.Restart, Tree: sys.Snapshot}
	idle := func(ctx context.Context) error { <-ctx.Done(); return nil }
	serve := func(ctx context.Context) error { return control.Serve(ctx, socket, source, nil) }
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- sys.Run(ctx, "root", supervisor.Spec{Strategy: supervisor.RestForOne},
			supervisor.Child{ID: "broker", Producer: supervisor.Service(nil, idle)},
			supervisor.Child{ID: controlID, Producer: supervisor.Service(nil, keeper.keep(serve))})
	}()
	answers := control.Client{Socket: socket}
	for end := time.Now().Add(time.Minute); ; {
		root, err := answers.Tree(t.Context())
		if err == nil && root != nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
		runtime.Gosched()
	}
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	defer client.CloseIdleConnections()
	for range 3 {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://instance/v1/restart/broker", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(request)
		if err != nil {
			t.Fatalf("no answer: %v", err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("got status %d", answer.StatusCode)
		}
	}
	if n := sys.Inspect(controlID); n.Restarts == nil || *n.Restarts < 2 {
		t.Errorf("the node was not restarted with the broker: %+v", n)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	keeper.end()
	if _, err := answers.Tree(t.Context()); !errors.Is(err, control.ErrUnreachable) {
		t.Errorf("after the end: %v", err)
	}
}

// TestAKeptServerThatFailsIsStartedAgain: its node fails with it, whatever it was.
func TestAKeptServerThatFailsIsStartedAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		fail func() error
		want string
	}{
		"error":  {func() error { return errors.New("address in use") }, "address in use"},
		"panic":  {func() error { panic("boom") }, "panic: boom"},
		"goexit": {func() error { runtime.Goexit(); return nil }, "goroutine has ended"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				keeper, starts := newKeeper(t.Context()), 0
				run := keeper.keep(func(ctx context.Context) error {
					if starts++; starts == 1 {
						return tt.fail()
					}
					<-ctx.Done()
					return nil
				})
				if err := run(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want %q", err, tt.want)
				}
				for range 2 { // the second time there is nothing to start
					ctx, stop := context.WithTimeout(t.Context(), time.Second)
					defer stop()
					if err := run(ctx); err != nil || ctx.Err() == nil {
						t.Errorf("got %v before it was told to end", err)
					}
				}
				keeper.end()
				ctx, stop := context.WithTimeout(t.Context(), time.Second)
				defer stop()
				if err := run(ctx); err != nil || ctx.Err() == nil || starts != 2 {
					t.Errorf("after the end: %v, %d starts", err, starts)
				}
			})
		})
	}
}
