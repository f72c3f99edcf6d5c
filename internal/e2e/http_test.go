package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// TestHTTP: what the endpoint answers decides what becomes of the task.
func TestHTTP(t *testing.T) {
	r, queue := begin(t)
	e := newEndpoint(t)
	var asked time.Time // when the 429 was given; its request comes twice, one after the other
	waited := make(chan time.Duration, 1)
	e.answer = func(w http.ResponseWriter, q *request) {
		switch code := q.key(); {
		case code == "429" && len(e.seen(code)) == 1:
			asked = time.Now()
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		case code == "429":
			waited <- time.Since(asked)
		case code == "503" && len(e.seen(code)) == 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case code == "502" && q.Attempt < 3, code == "500":
			w.WriteHeader(map[string]int{"502": 502, "500": 500}[code])
			fmt.Fprintf(w, "bad luck %d", q.Attempt)
		case code == "404":
			http.Error(w, "no such thing", http.StatusNotFound)
		case code == "302":
			w.Header().Set("Location", e.url+"/elsewhere")
			w.WriteHeader(http.StatusFound)
		case code == "204":
			w.WriteHeader(http.StatusNoContent)
		}
	}
	a := start(t, setup{url: r.url, pools: hook(queue, e.url+"/{task}/{id}?q={queue}", "slots: 20\nretry: {max_attempts: 3, initial: 20ms, max: 5s, jitter: 0}")})
	for _, code := range []string{"200", "204", "302", "404", "429", "500", "502", "503"} {
		r.publish(queue, amqp091.Publishing{MessageId: "id-" + code, Body: fmt.Appendf(nil, `{"task":"hook","args":[%s]}`, code)})
	}
	// Each attempt is a delivery of its own: 1 each, and 1 more for 429 and 503, 2
	// more for 500 and 502.
	a.settled("p", 8+1+1+2+2)
	for code, want := range map[string]int{"200": 1, "204": 1, "302": 1, "404": 1, "429": 2, "500": 3, "502": 3, "503": 2} {
		seen := e.seen(code)
		if len(seen) != want {
			t.Errorf("%s: got %d requests, want %d", code, len(seen), want)
		}
		for i, q := range seen {
			attempt := i + 1
			if code == "429" || code == "503" {
				attempt = 1 // to be asked for some time uses up none
			}
			if q.Attempt != attempt || q.Task != "hook" || q.ID != "id-"+code || q.Queue != queue {
				t.Errorf("%s: request %d is %+v", code, i+1, q)
			}
		}
	}
	select {
	case d := <-waited:
		if d < time.Second {
			t.Errorf("Retry-After of 1 s: tried again after %v", d)
		}
	default:
		t.Error("429: no second attempt")
	}
	if n := r.ready(queue); n != 0 {
		t.Errorf("left in the queue: %d", n)
	}
	got := map[string]string{}
	for _, d := range r.take(dead(queue), 3) {
		got[strings.TrimPrefix(d.MessageId, "id-")] = fmt.Sprint(d.Headers["x-reason"], " ", d.Headers["x-attempt"], " ", d.Headers["x-error"])
	}
	for key, want := range map[string][]string{
		"404": {"discarded 1 ", "404 Not Found", "no such thing"},
		"302": {"discarded 1 ", "302 Found", "redirects are not followed"},
		"500": {"max_attempts 3 ", "500 Internal Server Error", "bad luck 3"},
	} {
		for _, part := range want {
			if !strings.Contains(got[key], part) {
				t.Errorf("dead letter %s: got %q, want %q in it", key, got[key], part)
			}
		}
	}
	a.stop()
}
