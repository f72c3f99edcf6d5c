package supervisor_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/magne-actors/magne-actors/supervisor"
)

func TestAnObserverSeesEachEvent(t *testing.T) {
	inBubble(t, func(tr *tree) {
		var mu sync.Mutex
		var lines []string
		tr.sys.Observe(func(e supervisor.Event) {
			mu.Lock()
			defer mu.Unlock()
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s#%d %s", e.Type, e.ID, e.Generation, e.Error)))
			if time.Since(e.Time) != 0 {
				t.Errorf("%s at %v", e.Type, e.Time)
			}
			panic("an observer's mistake is its own")
		})
		park := supervisor.Spec{OnExhausted: supervisor.Park, Backoff: supervisor.Backoff{Initial: time.Second}}
		tr.run(supervisor.Spec{}, tr.sup("s", park, tr.child("a")))
		tr.tell("a", crash{"x\ny"})
		pass(time.Second)
		tr.rest()
		tr.tell("a", quit{errBoom})
		ok(t, tr.sys.Add(tr.t.Context(), "root", tr.child("b", shutdown(time.Second))))
		tr.tell("b", block{})
		ok(t, tr.sys.Remove(tr.t.Context(), "b"))
		want := `started a#1
started s#1
failed a#1 panic: x
backoff a#1
started a#2
failed a#2 boom
gave_up s#1 supervisor: s gave up: more than 1 restarts in 5s; last a: boom
parked s#1 supervisor: s gave up: more than 1 restarts in 5s; last a: boom
added b#0
started b#1
abandoned b#1
removed b#1`
		mu.Lock()
		defer mu.Unlock()
		if d := cmp.Diff(want, strings.Join(lines, "\n")); d != "" {
			t.Errorf("events (-want +got):\n%s", d)
		}
	})
}

func TestAnEventIsJSON(t *testing.T) {
	got, err := json.Marshal(supervisor.Event{
		Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Type: supervisor.EventFailed, ID: "mail/1", Generation: 2,
		Reason: "abnormal", Error: "boom", Err: errors.New("not this"),
	})
	want := `{"time":"2026-01-02T03:04:05Z","type":"failed","id":"mail/1","generation":2,"reason":"abnormal","error":"boom"}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}
