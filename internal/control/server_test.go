package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/magne-actors/magne-actors/supervisor"
)

func sampleTree() *supervisor.Node {
	return &supervisor.Node{
		ID: "root", Kind: "root", State: "up", Restarts: new(int64(1)),
		Children: []*supervisor.Node{
			{ID: "router:mail", Kind: "router", State: "paused", InFlight: new(int64(10)), Settled: new(int64(90)), Children: []*supervisor.Node{}},
			{ID: "pool:mail", Kind: "pool", State: "up", Running: new(int64(7)), Children: []*supervisor.Node{
				{ID: "mail/1", Kind: "worker", State: "up", Running: new(int64(7)), Children: []*supervisor.Node{}},
				{ID: "mail/2", Kind: "worker", State: "backoff", Running: new(int64(0)), Restarts: new(int64(3)), LastError: "boom", Children: []*supervisor.Node{}},
			}},
		},
	}
}

// start serves src until the test ends and returns the socket's path.
func start(t *testing.T, src Source) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	sock := mustListen(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, sock, src, nopLog()) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the socket file is left behind: %v", err)
		}
	})
	return path
}

func TestTreeAndStatus(t *testing.T) {
	c := Client{Socket: start(t, Source{Version: "0.1.0", Tree: sampleTree})}
	tree, err := c.Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sampleTree(), tree); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
	status, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := &Status{
		Version: "0.1.0", PID: os.Getpid(), Health: Degraded, Nodes: 5,
		InFlight: 10, Running: 7, Settled: 90, Restarts: 4,
		Problems: []Problem{{ID: "mail/2", Kind: "worker", State: "backoff", LastError: "boom"}},
	}
	if diff := cmp.Diff(want, status); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func TestBroker(t *testing.T) {
	type status struct{ Ready int }
	var got status
	with := Client{Socket: start(t, Source{Tree: sampleTree, Broker: func() any { return status{Ready: 7} }})}
	if err := with.Broker(t.Context(), &got); err != nil || got.Ready != 7 {
		t.Errorf("got %+v, %v", got, err)
	}
	without := Client{Socket: start(t, Source{Tree: sampleTree})}
	if err := without.Broker(t.Context(), &got); !errors.Is(err, ErrNoBroker) || errors.Is(err, ErrUnreachable) {
		t.Errorf("without a broker: got %v, want ErrNoBroker", err)
	}
}

func TestTwoServers(t *testing.T) {
	named := func(id string) func() *supervisor.Node {
		return func() *supervisor.Node { return &supervisor.Node{ID: id} }
	}
	one, two := start(t, Source{Tree: named("one")}), start(t, Source{Tree: named("two")})
	for path, want := range map[string]string{one: "one", two: "two"} {
		n, err := Client{Socket: path}.Tree(t.Context())
		if err != nil || n.ID != want {
			t.Errorf("got %v, %v, want %s", n, err, want)
		}
	}
	if err := Serve(t.Context(), one, Source{}, nil); !errors.Is(err, ErrInUse) {
		t.Errorf("second server on one socket: got %v, want ErrInUse", err)
	}
}

func TestUnreachable(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale")
	abandonSocket(t, stale)
	noTree := start(t, Source{Tree: func() *supervisor.Node { return nil }})
	panics := start(t, Source{Tree: func() *supervisor.Node { panic("lost my head") }})
	exits := start(t, Source{Tree: func() *supervisor.Node { runtime.Goexit(); return nil }})
	for _, tt := range []struct{ path, want string }{
		{filepath.Join(dir, "missing"), "no such file"},
		{stale, "refused"},
		{noTree, "not there yet"},
		{panics, "lost my head"},
		{exits, "snapshot failed"},
	} {
		_, err := Client{Socket: tt.path}.Tree(t.Context())
		if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want ErrUnreachable with %q", err, tt.want)
		}
	}
	if _, err := (Client{}).Tree(t.Context()); err == nil || errors.Is(err, ErrUnreachable) {
		t.Errorf("no path: got %v, want an error that is not ErrUnreachable", err)
	}
}

// TestSlowSource: a Source that hangs is answered with an error in time, costs
// one goroutine whatever the number of requests, and works again afterwards.
func TestSlowSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release, calls := make(chan struct{}), 0
		s := newSnapshots(func() (*supervisor.Node, error) {
			calls++
			<-release
			return sampleTree(), nil
		})
		began := time.Now()
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), snapshotTimeout)
			if _, err := s.get(ctx); !errors.Is(err, errTooSlow) {
				t.Errorf("got %v, want errTooSlow", err)
			}
			cancel()
		}
		if got := time.Since(began); got != 3*snapshotTimeout {
			t.Errorf("three requests took %v, want %v", got, 3*snapshotTimeout)
		}
		synctest.Wait()
		if calls != 1 {
			t.Errorf("%d calls of the hanging Source, want 1", calls)
		}
		close(release)
		synctest.Wait()
		if n, err := s.get(t.Context()); err != nil || n.ID != "root" {
			t.Errorf("after the release: %v, %v", n, err)
		}
	})
}

func TestClientGivesUp(t *testing.T) {
	// A listener that accepts in the kernel and never answers.
	sock := mustListen(t, filepath.Join(t.TempDir(), "s"))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := (Client{Socket: sock.path}).Tree(ctx); !errors.Is(err, ErrUnreachable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want ErrUnreachable and DeadlineExceeded", err)
	}
}

func TestStrangeServer(t *testing.T) {
	for _, tt := range []struct{ reply, want string }{
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<xml>", "decode answer"},
		{"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", "404"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", "unexpected EOF"},
		{"SSH-2.0-OpenSSH\r\n", "malformed"},
	} {
		sock := mustListen(t, filepath.Join(t.TempDir(), "s"))
		done := make(chan struct{})
		go func() {
			defer close(done)
			conn, err := sock.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			_, _ = io.WriteString(conn, tt.reply)
		}()
		_, err := Client{Socket: sock.path}.Tree(t.Context())
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("reply %q: got %v, want %q", tt.reply, err, tt.want)
		}
		_ = sock.Close()
		<-done
	}
}

func TestRequests(t *testing.T) {
	path := start(t, Source{Tree: sampleTree})
	for _, tt := range []struct{ name, request, want string }{
		{"tree", get("/v1/tree"), "200 OK"},
		{"not HTTP", "\x16\x03\x01 hello\r\n\r\n", "400 Bad Request"},
		{"unknown path", get("/v2/tree"), "404 Not Found"},
		{"path with dots", get("/../../etc/passwd"), "307 Temporary Redirect"},
		{"wrong method", "DELETE /v1/tree HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "405 Method Not Allowed"},
		{"huge header", "GET /v1/tree HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", "431 Request Header Fields Too Large"},
		{"no command line", get("/debug/pprof/cmdline"), "404 Not Found"},
		{"goroutines", get("/debug/pprof/goroutine?debug=1"), "200 OK"},
	} {
		got := exchange(t, path, tt.request)
		if line, _, _ := strings.Cut(got, "\r\n"); line != "HTTP/1.1 "+tt.want {
			t.Errorf("%s: got %q, want %s", tt.name, line, tt.want)
		}
	}
	if body := exchange(t, path, get("/v1/tree")); !json.Valid([]byte(body[strings.Index(body, "\r\n\r\n"):])) {
		t.Errorf("not JSON: %s", body)
	}
}

func get(path string) string {
	return fmt.Sprintf("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path)
}

// exchange writes request and returns everything that comes back.
func exchange(t *testing.T, path, request string) string {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, request) // the server may hang up before it has read it all
	answer, _ := io.ReadAll(conn)
	return string(answer)
}
