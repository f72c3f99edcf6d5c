package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// sink is where the instance's http tasks go: it executes numbered messages and
// keeps the books. One of four takes long, so that some are always in progress.
type sink struct {
	books  *accounts
	url    string
	server *http.Server
	wg     sync.WaitGroup
}

const (
	quickTask = 5 * time.Millisecond
	slowTask  = 400 * time.Millisecond
)

func newSink(books *accounts) (*sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("faults: endpoint: %w", err)
	}
	s := &sink{books: books, url: "http://" + l.Addr().String()}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	s.wg.Go(func() { _ = s.server.Serve(l) }) // it ends with close
	return s, nil
}

// ServeHTTP executes one task.
func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var task struct {
		Args []int `json:"args"`
	}
	if err := json.NewDecoder(r.Body).Decode(&task); err != nil || len(task.Args) != 1 {
		http.Error(w, "want one number", http.StatusBadRequest)
		return
	}
	n := task.Args[0]
	s.books.begun(n)
	takes := quickTask
	if n%4 == 0 {
		takes = slowTask
	}
	t := time.NewTimer(takes)
	defer t.Stop()
	select {
	case <-t.C:
		s.books.done(n)
	case <-r.Context().Done(): // the instance was stopped cold
	}
}

func (s *sink) close(ctx context.Context) {
	_ = s.server.Shutdown(ctx)
	_ = s.server.Close()
	s.wg.Wait()
}
