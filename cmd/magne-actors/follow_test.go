package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/supervisor"
)

// followed runs a command against an instance, and returns its lines and what it
// ends with once the instance has ended.
func followed(t *testing.T, src control.Source, args ...string) (lines <-chan string, end func() (int, string)) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- control.Serve(ctx, socket, src, nil) }()
	for { // until it is there
		_, err := control.Client{Socket: socket}.Tree(ctx)
		if err == nil {
			break
		}
		select {
		case err := <-ended:
			t.Fatal(err)
		default:
		}
	}
	r, w := io.Pipe()
	out, status := make(chan string, 1024), make(chan int, 1)
	var stderr strings.Builder
	go func() {
		status <- run(t.Context(), append(args, "--socket", socket), strings.NewReader(""), w, &stderr)
		_ = w.Close()
	}()
	go func() {
		defer close(out)
		for scan := bufio.NewScanner(r); scan.Scan(); {
			out <- scan.Text()
		}
	}()
	return out, func() (int, string) {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
		for range out { // it may have more to say
		}
		return <-status, stderr.String()
	}
}

// next returns what comes within a time that no machine is too slow for, while
// nudge is called again and again.
func next(t *testing.T, lines <-chan string, nudge func()) string {
	t.Helper()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case line := <-lines:
			return line
		case <-tick.C:
			nudge()
		case <-limit.C:
			t.Fatal("nothing comes")
		}
	}
}

// TestFollowLogs: -w shows what comes and only that, and ends with the instance.
func TestFollowLogs(t *testing.T) {
	src := fakeSource()
	log := slog.New(src.Logs.Handler())
	lines, end := followed(t, src, "logs", "-w", "--tail", "0", "-o", "json", "mail/7")
	line := next(t, lines, func() {
		log.Info("other", "worker", "mail/8")
		log.Info("now", "worker", "mail/7")
	})
	var e control.Entry
	if err := json.Unmarshal([]byte(line), &e); err != nil || e.Message != "now" {
		t.Errorf("got %s, %v", line, err)
	}
	if code, stderr := end(); code != exitUnreachable || !strings.Contains(stderr, "no instance answers") {
		t.Errorf("at the end: got %d, %s", code, stderr)
	}
}

// TestFollowEvents: -w shows what there is, then what comes.
func TestFollowEvents(t *testing.T) {
	src := fakeSource()
	lines, end := followed(t, src, "events", "-w", "--node", "mail")
	for _, want := range []string{"EVENT", "consuming", "failed"} {
		if line := next(t, lines, func() {}); !strings.Contains(line, want) {
			t.Errorf("got %q, want %s", line, want)
		}
	}
	line := next(t, lines, func() { src.Events.Add(supervisor.Event{Type: supervisor.EventParked, ID: "pool:mail"}) })
	if !strings.Contains(line, "parked") {
		t.Errorf("got %q, want parked", line)
	}
	if code, _ := end(); code != exitUnreachable {
		t.Errorf("exit status: got %d, want %d", code, exitUnreachable)
	}
}

// TestWatchWakes: an event has tree -w look again long before its second is over.
func TestWatchWakes(t *testing.T) {
	src := fakeSource()
	lines, end := followed(t, src, "tree", "-w")
	next(t, lines, func() {})
	begun, n := time.Now(), 0
	for n < 10 { // by the second it would take ten
		src.Events.Add(supervisor.Event{Type: supervisor.EventStarted, ID: "mail/1"})
		for line := next(t, lines, func() { src.Events.Add(supervisor.Event{}) }); !strings.HasPrefix(line, "magne-actors"); {
			line = next(t, lines, func() {})
		}
		n++
	}
	if took := time.Since(begun); took > 8*time.Second || took < 9*soonest {
		t.Errorf("%d looks took %v, want some tenths of a second each", n, took)
	}
	if code, _ := end(); code != exitUnreachable {
		t.Errorf("exit status: got %d, want %d", code, exitUnreachable)
	}
}
