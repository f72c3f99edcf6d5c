package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// sink is where the instance's http tasks go: it executes numbered messages and
// keeps the books. One of four takes long, so that some are always in progress; one of
// eight fails at first, and one of sixteen is refused for good, so that retries and
// dead letters are always underway, too.
type sink struct {
	books  *accounts
	url    string
	slow   time.Duration // of one task of four
	stall  atomic.Int64  // so many tasks that take long do not end soon
	lag    atomic.Bool   // from now on tasks take longer by lagging
	server *http.Server
	wg     sync.WaitGroup
}

const (
	quickTask = 5 * time.Millisecond
	slowTask  = 400 * time.Millisecond
	soakTask  = 100 * time.Millisecond // slowTask of a soak
	lagging   = 800 * time.Millisecond
	stalled   = 5
	stalls    = 10 * time.Second // longer than the fault
)

func newSink(books *accounts) (*sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("faults: endpoint: %w", err)
	}
	s := &sink{books: books, slow: slowTask, url: "http://" + l.Addr().String()}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	s.wg.Go(func() { _ = s.server.Serve(l) }) // it ends with close
	return s, nil
}

// ServeHTTP executes one task.
func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var task struct {
		Args    []int `json:"args"`
		Attempt int   `json:"attempt"`
	}
	if err := json.NewDecoder(r.Body).Decode(&task); err != nil || len(task.Args) != 1 {
		http.Error(w, "want one number", http.StatusBadRequest)
		return
	}
	n := task.Args[0]
	s.books.begun(n, task.Attempt)
	takes := quickTask
	if n%4 == 0 {
		takes = s.slow
	}
	if n%4 == 0 && s.stall.Add(-1) >= 0 {
		takes = stalls
	}
	if s.lag.Load() {
		takes += lagging
	}
	t := time.NewTimer(takes)
	defer t.Stop()
	select {
	case <-r.Context().Done(): // the instance was stopped cold
		return
	case <-t.C:
	}
	switch {
	case n%8 == 3 && task.Attempt < attempts:
		http.Error(w, "not yet", http.StatusInternalServerError)
	case n%16 == 5:
		http.Error(w, "never", http.StatusBadRequest)
	default:
		s.books.done(n)
	}
}

func (s *sink) close(ctx context.Context) {
	_ = s.server.Shutdown(ctx)
	_ = s.server.Close()
	s.wg.Wait()
}
