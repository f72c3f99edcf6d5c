package httptask_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/task"
	"github.com/magne-actors/magne-actors/task/httptask"
)

// Timeout is about the headers; the answer is decided once they are there.
func TestBodyMayTrickle(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		hangUp(r)
	})
	start := time.Now()
	err := mustNew(t, httptask.Options{URL: url}).Handle(t.Context(), &task.Message{Name: "a"})
	if d := time.Since(start); err != nil || d > 10*time.Second {
		t.Errorf("got %v after %v, want nil after about 1s", err, d)
	}
}

func TestHugeAnswer(t *testing.T) {
	sent := make(chan int64, 1)
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		n, _ := io.Copy(w, io.LimitReader(zeros{}, 1<<30))
		sent <- n
	})
	if err := mustNew(t, httptask.Options{URL: url}).Handle(t.Context(), &task.Message{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	// The rest is what the two sockets buffer.
	if n := <-sent; n > 64<<20 {
		t.Errorf("got %d bytes read, want a bound", n)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// countConns counts the connections that a server has accepted.
func countConns(t *testing.T, h http.HandlerFunc) (s *httptest.Server, n *atomic.Int32) {
	t.Helper()
	n = new(atomic.Int32)
	s = httptest.NewUnstartedServer(h)
	s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			n.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return s, n
}

func TestConnectionsAreReused(t *testing.T) {
	const slots, tasks = 8, 400
	var now, peak atomic.Int32
	s, conns := countConns(t, func(w http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for p := peak.Load(); n > p && !peak.CompareAndSwap(p, n); p = peak.Load() {
		}
		var b struct{ Args []int }
		if err := json.NewDecoder(r.Body).Decode(&b); err != nil || b.Args[0]%3 == 0 {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = w.Write(bytes.Repeat([]byte("x"), 10_000)) // more than the excerpt
	})
	h := mustNew(t, httptask.Options{URL: s.URL, MaxConcurrent: slots})
	var wg sync.WaitGroup
	for g := range 2 * slots { // more at once than there are connections
		wg.Go(func() {
			for i := range tasks / (2 * slots) {
				err := h.Handle(t.Context(), &task.Message{Name: "a", Args: fmt.Appendf(nil, "[%d]", i)})
				if (err != nil) != (i%3 == 0) {
					t.Errorf("goroutine %d, task %d: got %v", g, i, err)
				}
			}
		})
	}
	wg.Wait()
	if c, p := conns.Load(), peak.Load(); c > slots || p > slots {
		t.Errorf("got %d connections and %d requests at once, want at most %d", c, p, slots)
	}
}

// A server may close a kept connection at any time. With an id in the message
// net/http sends the request again on a new one.
func TestDeadConnectionIsReplaced(t *testing.T) {
	s, conns := countConns(t, func(http.ResponseWriter, *http.Request) {})
	h := mustNew(t, httptask.Options{URL: s.URL, MaxConcurrent: 1})
	m := &task.Message{Name: "a", ID: "1"}
	for range 20 {
		if err := h.Handle(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		s.CloseClientConnections()
	}
	if n := conns.Load(); n < 20 {
		t.Errorf("got %d connections, want one for each message", n)
	}
}

func BenchmarkHandle(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	h, err := httptask.New(httptask.Options{URL: s.URL + "/{task}", MaxConcurrent: 4})
	if err != nil {
		b.Fatal(err)
	}
	m := &task.Message{Name: "a", ID: "1", Args: []byte(`[1,2,3]`)}
	b.ReportAllocs()
	for b.Loop() {
		if err := h.Handle(b.Context(), m); err != nil {
			b.Fatal(err)
		}
	}
}
