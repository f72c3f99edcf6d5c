package embedded_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/magne-actors/magne-actors/broker/embedded"
	"github.com/magne-actors/magne-actors/internal/testenv"
)

// suiteBroker does what the suite asks of rabbitmqctl and of the management API.
type suiteBroker interface {
	alarm(args string)                    // rabbitmqctl set_vm_memory_high_watermark
	connections() (map[string]any, error) // by connection_name: what drop takes
	drop(id string) error
}

type embeddedSuite struct {
	b *embedded.Broker
	f *embedded.Faults
}

func (s embeddedSuite) alarm(args string) {
	unblock := s.f.BlockPublishers("low on memory")
	if !strings.HasSuffix(args, " 0.0001") {
		unblock()
	}
}

func (s embeddedSuite) connections() (map[string]any, error) {
	all := map[string]any{}
	for _, c := range s.b.Status().Connections {
		all[c.Name] = strconv.FormatUint(c.ID, 10)
	}
	return all, nil
}

func (s embeddedSuite) drop(id string) error {
	s.f.CloseConnections("Closed via management plugin", func(c embedded.ConnectionStatus) bool {
		return strconv.FormatUint(c.ID, 10) == id
	})
	return nil
}

type rabbitSuite struct {
	t *testing.T
	n *testenv.Node
}

func (s rabbitSuite) alarm(args string) {
	if _, err := s.n.Ctl(s.t.Context(), strings.Fields(args)...); err != nil {
		s.t.Error(err)
	}
}

// connectionLine has the pid and the name in a line of list_connections.
var connectionLine = regexp.MustCompile(`^(<\S+>)\t.*"connection_name","([^"]*)"`)

func (s rabbitSuite) connections() (map[string]any, error) {
	out, err := s.n.Ctl(s.t.Context(), "-q", "list_connections", "pid", "client_properties")
	if err != nil {
		return nil, err
	}
	all := map[string]any{}
	for line := range strings.Lines(out) {
		if m := connectionLine.FindStringSubmatch(line); m != nil {
			all[m[2]] = m[1]
		}
	}
	return all, nil
}

func (s rabbitSuite) drop(id string) error {
	_, err := s.n.Ctl(s.t.Context(), "close_connection", id, "Closed via management plugin")
	return err
}

// manage is as much of RabbitMQ's management API as the suite uses, at the
// address that is fixed in it.
func manage(t *testing.T, s suiteBroker) {
	t.Helper()
	l, err := net.Listen("tcp", "localhost:15672")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/connections/", func(w http.ResponseWriter, _ *http.Request) {
		all, err := s.connections()
		if err != nil {
			t.Error(err)
		}
		list := []any{}
		for name, id := range all {
			list = append(list, map[string]any{"name": id, "client_properties": map[string]any{"connection_name": name}})
		}
		_ = json.NewEncoder(w).Encode(list)
	})
	mux.HandleFunc("DELETE /api/connections/{id}", func(w http.ResponseWriter, r *http.Request) {
		if err := s.drop(r.PathValue("id")); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	server := &http.Server{Handler: mux} //nolint:gosec // for one test
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
}

// script writes a shell script that has do run in this process.
func script(t *testing.T, do func(args string)) string {
	t.Helper()
	dir := t.TempDir()
	ask, answer, name := filepath.Join(dir, "ask"), filepath.Join(dir, "answer"), filepath.Join(dir, "rabbitmqctl")
	if out, err := exec.Command("mkfifo", ask, answer).CombinedOutput(); err != nil {
		t.Fatalf("mkfifo: %v %s", err, out)
	}
	text := fmt.Sprintf("#!/bin/sh\necho \"$*\" >%s\nread x <%s\n", ask, answer)
	if err := os.WriteFile(name, []byte(text), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	// Both ends are open here, so that opening does not wait and there is no EOF.
	asked, err := os.OpenFile(ask, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	answers, err := os.OpenFile(answer, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(asked); lines.Scan(); {
			do(lines.Text())
			_, _ = io.WriteString(answers, "ok\n")
		}
	}()
	t.Cleanup(func() {
		asked.Close()
		<-done
		answers.Close()
	})
	return name
}
