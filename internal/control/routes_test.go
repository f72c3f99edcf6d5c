package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/magne-actors/magne-actors/supervisor"
)

func TestInspect(t *testing.T) {
	find := func(id string) *supervisor.Node {
		if id != "mail/2" {
			return nil
		}
		return &supervisor.Node{ID: id, Stack: "main.go:1"}
	}
	c := Client{Socket: start(t, Source{Tree: sampleTree, Inspect: find})}
	if n, err := c.Inspect(t.Context(), "mail/2"); err != nil || n.ID != "mail/2" || n.Stack == "" {
		t.Errorf("got %+v, %v", n, err)
	}
	for _, id := range []string{"mail/9", "", "../tree", "a//b", "a b?c#d%2f"} {
		if _, err := c.Inspect(t.Context(), id); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: got %v, want ErrNotFound", id, err)
		}
	}
	// A Source without Inspect has the tree.
	c = Client{Socket: start(t, Source{Tree: sampleTree})}
	if n, err := c.Inspect(t.Context(), "pool:mail"); err != nil || len(n.Children) != 2 {
		t.Errorf("from the tree: got %+v, %v", n, err)
	}
	if _, err := c.Inspect(t.Context(), "nobody"); !errors.Is(err, ErrNotFound) {
		t.Errorf("from the tree: got %v, want ErrNotFound", err)
	}
}

func TestTasks(t *testing.T) {
	want := []Task{{ID: "7", Name: "resize", Pool: "p", Worker: "p/1", Attempt: 2, Since: time.Unix(1, 0).UTC()}}
	with := Client{Socket: start(t, Source{Tree: sampleTree, Tasks: func() []Task { return want }})}
	got, err := with.Tasks(t.Context())
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	without := Client{Socket: start(t, Source{Tree: sampleTree})}
	if got, err := without.Tasks(t.Context()); err != nil || got == nil || len(got) != 0 {
		t.Errorf("without tasks: got %#v, %v, want an empty list", got, err)
	}
}

func TestEvents(t *testing.T) {
	var events Events
	c := Client{Socket: start(t, Source{Tree: sampleTree, Events: &events})}
	for i := range 3 {
		events.Add(supervisor.Event{Type: supervisor.EventFailed, ID: fmt.Sprint(i), Error: "boom", Err: errors.New("boom")})
	}
	got, err := c.Events(t.Context(), 1)
	want := []Event{
		{2, supervisor.Event{Type: supervisor.EventFailed, ID: "1", Error: "boom"}},
		{3, supervisor.Event{Type: supervisor.EventFailed, ID: "2", Error: "boom"}},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	if got, err := c.Events(t.Context(), 1<<64-1); err != nil || len(got) != 0 {
		t.Errorf("after the last: got %v, %v", got, err)
	}
	none := Client{Socket: start(t, Source{Tree: sampleTree})}
	if got, err := none.Events(t.Context(), 0); err != nil || got == nil || len(got) != 0 {
		t.Errorf("nobody keeps them: got %#v, %v", got, err)
	}
}

// TestEventsAreBounded: the oldest go first, and the numbers leave none out.
func TestEventsAreBounded(t *testing.T) {
	var events Events
	for i := range keep + 10 {
		events.Add(supervisor.Event{Generation: i + 1})
	}
	list := events.After(0)
	if len(list) != keep {
		t.Fatalf("got %d events, want %d", len(list), keep)
	}
	for i, e := range list {
		if e.Seq != uint64(i+11) || e.Generation != i+11 {
			t.Fatalf("event %d is %d of generation %d", i, e.Seq, e.Generation)
		}
	}
	if got := len(events.After(keep + 9)); got != 1 {
		t.Errorf("after the last but one: got %d", got)
	}
}

func TestRestart(t *testing.T) {
	var asked string
	restart := func(_ context.Context, id string) error {
		asked = id
		switch id {
		case "gone":
			return fmt.Errorf("restart: %w", supervisor.ErrNotFound)
		case "bad":
			return errors.New("panic: boom")
		}
		return nil
	}
	c := Client{Socket: start(t, Source{Tree: sampleTree, Restart: restart})}
	if err := c.Restart(t.Context(), "mail/1"); err != nil || asked != "mail/1" {
		t.Errorf("asked for %q: %v", asked, err)
	}
	if err := c.Restart(t.Context(), "gone"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	if err := c.Restart(t.Context(), "bad"); err == nil || errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "boom") {
		t.Errorf("got %v, want boom", err)
	}
	none := Client{Socket: start(t, Source{Tree: sampleTree})}
	if err := none.Restart(t.Context(), "mail/1"); !errors.Is(err, ErrNotOffered) {
		t.Errorf("got %v, want ErrNotOffered", err)
	}
}

func TestWrongRequests(t *testing.T) {
	path := start(t, Source{Tree: sampleTree})
	for request, want := range map[string]string{
		get("/v1/events?after=x"):  "400 Bad Request",
		get("/v1/restart/mail/1"):  "405 Method Not Allowed",
		get("/v1/nodes/root"):      "200 OK",
		get("/v1/nodes/nobody"):    "404 Not Found",
		get("/v1/events?after=-1"): "400 Bad Request",
	} {
		if got := exchange(t, path, request); !strings.HasPrefix(got, "HTTP/1.1 "+want+"\r\n") {
			t.Errorf("%.40q: got %.80q, want %s", request, got, want)
		}
	}
}
