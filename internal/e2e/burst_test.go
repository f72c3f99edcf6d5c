package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/internal/testenv"
)

// TestBurst: run --burst does what waits in all queues, retries that are due later
// included, and ends with 0.
func TestBurst(t *testing.T) {
	t.Parallel()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		burst(t, "", "one", "two")
	})
	t.Run("RabbitMQ", func(t *testing.T) {
		t.Parallel()
		r := dial(t, testenv.RabbitMQ(t))
		burst(t, r.url, r.queue(".one"), r.queue(".two"))
	})
}

func burst(t *testing.T, url, one, two string) {
	t.Helper()
	e := newEndpoint(t)
	e.answer = func(w http.ResponseWriter, r *request) {
		if r.key() == "7" && r.Attempt == 1 {
			w.WriteHeader(http.StatusInternalServerError) // a failed attempt
		}
	}
	s := setup{url: url, pools: hook(one, e.url, "slots: 5\nretry: {initial: 1500ms, max: 1500ms, jitter: 0}") + fmt.Sprintf(`q:
  queue: %s
  slots: 3
  retry: {max_attempts: 2, initial: 1ms, max: 1ms}
  tasks: {nap: {builtin: sleep}, wrong: {builtin: fail}}
`, two)}
	a := start(t, s) // declares the queues
	a.look(0, "pause", "p")
	a.look(0, "pause", "q")
	const hooks, napping = 100, 20
	publishNumbers(t, a, "hook", 0, hooks)
	a.publishTo(two, napping, "nap", "0.05")
	a.publishTo(two, 1, "wrong")
	a.stop()
	if n := len(e.begunRuns()); n != 0 {
		t.Fatalf("%d tasks were begun while all was paused", n)
	}

	s.args = []string{"--burst"}
	begun := time.Now()
	a.again(t, s)
	if code := a.wait(); code != 0 {
		t.Fatalf("exit code: got %d, want 0", code)
	}
	t.Logf("done after %v", time.Since(begun))
	contains(t, a.stderr.String(), "the queue is empty", "stopped")
	for key, n := range e.doneRuns() {
		if want := map[string]int{"7": 2}[key]; n != max(want, 1) {
			t.Errorf("task %s was done %d times", key, n)
		}
	}
	if n := len(e.doneRuns()); n != hooks {
		t.Errorf("%d tasks were done, want %d", n, hooks)
	}
	if retry := e.seen("7"); len(retry) == 2 && retry[1].Attempt != 2 {
		t.Errorf("attempts of task 7: %+v", retry)
	}
	if url == "" {
		alone := startBroker(t, "--dir", a.data())
		defer alone.stop()
		url = alone.url
	}
	r := dial(t, url)
	for queue, want := range map[string]int{one: 0, dead(one): 0, two: 0, dead(two): 1} {
		if n := r.ready(queue); n != want {
			t.Errorf("%s: %d messages, want %d", queue, n, want)
		}
	}
	if url == s.url { // the queues are empty from the start
		a.again(t, s)
		if code := a.wait(); code != 0 {
			t.Errorf("exit code with empty queues: got %d, want 0", code)
		}
	}
}

// TestBurstThatGivesUp: where a pool gives up its queue is not empty, and the others
// are done all the same.
func TestBurstThatGivesUp(t *testing.T) {
	t.Parallel()
	s := setup{pools: strings.Replace(fragile, "max_attempts: 5", "max_attempts: 1000", 1), panics: true}
	a := start(t, s)
	a.look(0, "pause", "bad")
	a.look(0, "pause", "good")
	a.publishTo("bad", 3, "poison", "boom", "panic")
	a.publishTo("good", 500, "fine")
	a.stop()
	s.args = []string{"--burst"}
	a.again(t, s)
	if code := a.wait(); code != 70 {
		t.Fatalf("exit code: got %d, want 70", code)
	}
	contains(t, a.stderr.String(), "magne-actors: supervisor: bad gave up")
	alone := startBroker(t, "--dir", a.data())
	r := dial(t, alone.url)
	if n := r.ready("bad"); n < 3 { // more if an original was not acked in time
		t.Errorf("bad: %d messages, want 3", n)
	}
	if dead, good := r.ready(dead("bad")), r.ready("good"); dead != 0 || good != 0 {
		t.Errorf("%d dead-lettered, %d left in the good queue, want none", dead, good)
	}
	alone.stop()
}
