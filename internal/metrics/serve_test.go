package metrics_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/internal/metrics"
)

func routes() metrics.Routes {
	say := func(text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
	}
	return metrics.Routes{Metrics: say("metrics"), Live: say("live"), Ready: say("ready")}
}

func TestServer(t *testing.T) {
	s, err := metrics.Listen(t.Context(), "127.0.0.1:0", routes(), nil)
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + s.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	for path, want := range map[string]string{"/metrics": "metrics", "/livez": "live", "/readyz": "ready"} {
		if code, body := fetch(t, "GET", base+path); code != 200 || body != want {
			t.Errorf("%s: got %d %q, want %q", path, code, body, want)
		}
	}
	// Nothing of the control socket is here.
	for path, method := range map[string]string{"/v1/tree": "GET", "/v1/restart/x": "POST", "/debug/pprof/": "GET", "/": "GET"} {
		if code, _ := fetch(t, method, base+path); code != 404 {
			t.Errorf("%s %s: got %d, want 404", method, path, code)
		}
	}
	if code, _ := fetch(t, "POST", base+"/metrics"); code != 405 {
		t.Errorf("POST: got %d, want 405", code)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run: got %v, want nil", err)
	}
}

func client() *http.Client { return &http.Client{Timeout: 10 * time.Second} }

func fetch(t *testing.T, method, url string) (code int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

// The address is taken before anything is started, and again by a Run that follows
// another one.
func TestServerAndItsAddress(t *testing.T) {
	s, err := metrics.Listen(t.Context(), "127.0.0.1:0", routes(), nil)
	if err != nil {
		t.Fatal(err)
	}
	address := s.Addr().String()
	if _, err := metrics.Listen(t.Context(), address, routes(), nil); err == nil {
		t.Error("an address that is taken was taken again")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := metrics.Listen(t.Context(), address, routes(), nil)
	if err != nil {
		t.Fatalf("after Close: %v", err)
	}
	for range 2 {
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- again.Run(ctx) }()
		for answered := false; !answered; {
			answered = reach(ctx, "http://"+address+"/livez")
			select {
			case err := <-ended:
				t.Fatalf("Run: %v", err)
			default:
			}
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: got %v, want nil", err)
		}
	}
}

func reach(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return false
	}
	answer, err := client().Do(req)
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}
