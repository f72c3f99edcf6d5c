package control

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/magne-actors/magne-actors/supervisor"
)

// TestRestartThatTakesTheServerWithIt: who asks for it hears how it went all the same.
func TestRestartThatTakesTheServerWithIt(t *testing.T) {
	for _, tt := range []struct {
		after []supervisor.Node // one look after the other; the last stays
		want  string            // of the error
	}{
		{after: []supervisor.Node{{State: "connected", Restarts: new(int64(2))}, {State: "starting", Restarts: new(int64(3))}, {State: "connected", Restarts: new(int64(3))}}},
		{after: []supervisor.Node{{State: "backoff", Restarts: new(int64(3)), LastError: "no such host"}}, want: "broker is in state backoff: no such host"},
	} {
		var looks atomic.Int64
		var asked atomic.Bool
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				asked.Store(true)
				panic(http.ErrAbortHandler) // the connection ends
			}
			n := supervisor.Node{State: "connected", Restarts: new(int64(2))}
			if asked.Load() {
				n = tt.after[min(int(looks.Add(1)), len(tt.after))-1]
			}
			n.ID = "broker"
			_ = json.NewEncoder(w).Encode(&n)
		}))
		err := Client{Address: strings.TrimPrefix(srv.URL, "http://")}.Restart(t.Context(), "broker")
		srv.Close()
		if text := errorText(err); text != tt.want || errors.Is(err, ErrUnreachable) {
			t.Errorf("got %v, want %q", err, tt.want)
		}
		if n := int(looks.Load()); n != len(tt.after) {
			t.Errorf("asked %d times, want %d", n, len(tt.after))
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
