package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// request is a task as an http handler sends it.
type request struct {
	Task    string            `json:"task"`
	ID      string            `json:"id"`
	Args    []json.RawMessage `json:"args"`
	Kwargs  json.RawMessage   `json:"kwargs"`
	Headers map[string]string `json:"headers"`
	Attempt int               `json:"attempt"`
	Queue   string            `json:"queue"`
}

// key is what tells tasks apart: their first argument.
func (r *request) key() string {
	if len(r.Args) == 0 {
		return ""
	}
	return string(r.Args[0])
}

// endpoint records the tasks that http handlers send to it. While it is held,
// requests wait.
type endpoint struct {
	url    string
	answer func(w http.ResponseWriter, r *request) // nil: 200

	mu       sync.Mutex
	gate     chan struct{} // not nil: held
	begun    map[string]int
	done     map[string]int // answered, while the client was waiting
	requests []request
}

func newEndpoint(t testing.TB) *endpoint {
	t.Helper()
	e := &endpoint{begun: map[string]int{}, done: map[string]int{}}
	srv := httptest.NewServer(e)
	e.url = srv.URL
	t.Cleanup(func() {
		e.release()
		srv.Close()
	})
	return e
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	var r request
	if err := json.NewDecoder(hr.Body).Decode(&r); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e.mu.Lock()
	e.begun[r.key()]++
	e.requests = append(e.requests, r)
	gate := e.gate
	e.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-hr.Context().Done(): // cancelled, or killed
			return
		}
	}
	e.mu.Lock()
	e.done[r.key()]++
	e.mu.Unlock()
	if e.answer != nil {
		e.answer(w, &r)
	}
}

// hold makes requests wait from now on.
func (e *endpoint) hold() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gate == nil {
		e.gate = make(chan struct{})
	}
}

// release lets those that wait go on.
func (e *endpoint) release() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gate != nil {
		close(e.gate)
		e.gate = nil
	}
}

// doneRuns returns how often each task was answered.
func (e *endpoint) doneRuns() map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.done)
}

// begunRuns returns how often each task was begun.
func (e *endpoint) begunRuns() map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.begun)
}

// seen returns the requests with this first argument, in their order.
func (e *endpoint) seen(key string) []request {
	e.mu.Lock()
	defer e.mu.Unlock()
	var found []request
	for _, r := range e.requests {
		if r.key() == key {
			found = append(found, r)
		}
	}
	return found
}

// hasBegun waits until n tasks were begun.
func (e *endpoint) hasBegun(t testing.TB, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d tasks begun", n), func() (bool, any) {
		got := len(e.begunRuns())
		return got >= n, got
	})
}

// hasDone waits until n tasks were answered.
func (e *endpoint) hasDone(t testing.TB, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d tasks done", n), func() (bool, any) {
		got := len(e.doneRuns())
		return got >= n, got
	})
}

// numbers are n lines for publish --from: [from], [from+1], ...
func numbers(from, n int) *strings.Reader {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "[%d]\n", from+i)
	}
	return strings.NewReader(b.String())
}

// publishNumbers publishes the task once for each number, as a user does.
func publishNumbers(t testing.TB, a *app, task string, from, n int) {
	t.Helper()
	magneIn(t, a.dir, nil, numbers(from, n), "publish", "-c", a.config, "--from", "-", task).want(t, 0)
}
