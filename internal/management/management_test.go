package management_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/magne-actors/magne-actors/internal/management"
)

// api is a server that answers every request with what RabbitMQ 3.10 does.
func api(t *testing.T, status int, body string) (address string, asked *http.Request) {
	t.Helper()
	asked = new(http.Request)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = *r.Clone(context.Background())
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	return strings.Replace(s.URL, "http://", "http://guest:hunter2@", 1) + "/", asked
}

func client(t *testing.T, address string) *management.Client {
	t.Helper()
	c, err := management.New(address)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestQueues(t *testing.T) {
	address, asked := api(t, 200, `[{"name":"a","vhost":"/","type":"quorum","durable":true,"arguments":{"x-queue-type":"quorum"},
		"state":"running","messages_ready":3,"messages_unacknowledged":2,"consumers":1,"node":"rabbit@h"},{"name":"new","arguments":{}}]`)
	got, err := client(t, address).Queues(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	want := []management.Queue{
		{
			Name: "a", Type: "quorum", State: "running", Durable: true, Arguments: map[string]any{"x-queue-type": "quorum"},
			Ready: new(3), Unacked: new(2), Consumers: new(1),
		},
		{Name: "new", Arguments: map[string]any{}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	user, password, _ := asked.BasicAuth()
	if asked.URL.EscapedPath() != "/api/queues/%2F" || user != "guest" || password != "hunter2" {
		t.Errorf("asked for %s as %q", asked.URL.EscapedPath(), user)
	}
}

func TestAs(t *testing.T) {
	address, asked := api(t, 200, `[]`)
	c := client(t, strings.Replace(address, "guest:hunter2@", "", 1)+"prefix")
	if c.HasUser() || !client(t, address).HasUser() {
		t.Error("HasUser does not tell")
	}
	if _, err := c.As("alice", "pw").Queues(t.Context(), "a/b"); err != nil {
		t.Fatal(err)
	}
	if user, _, _ := asked.BasicAuth(); asked.URL.EscapedPath() != "/prefix/api/queues/a%2Fb" || user != "alice" {
		t.Errorf("asked for %s as %q", asked.URL.EscapedPath(), user)
	}
}

func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		status     int
		body, want string
		is         error
	}{
		{401, `{"error":"not_authorised"}`, "refused user", management.ErrDenied},
		{403, ``, "refused user", management.ErrDenied},
		{404, ``, `no virtual host "/"`, nil},
		{500, ``, "500 Internal Server Error", nil},
		{200, `<html>`, "answer of 127.0.0.1", nil},
	} {
		address, _ := api(t, tt.status, tt.body)
		_, err := client(t, address).Queues(t.Context(), "/")
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%d %s: got %v, want %q", tt.status, tt.body, err, tt.want)
		}
		if tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%d: got %v, want %v", tt.status, err, tt.is)
		}
	}
	if _, err := client(t, "http://guest:hunter2@127.0.0.1:1/").Queues(t.Context(), "/"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("nobody listens: got %v", err)
	}
	for _, address := range []string{"", "amqp://h/", "http://u:hunter2@h:x/", "h:15672"} {
		if _, err := management.New(address); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("New of %q: got %v", address, err)
		}
	}
}
