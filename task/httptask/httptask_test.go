package httptask_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/magne-actors/magne-actors/task"
	"github.com/magne-actors/magne-actors/task/httptask"
)

// serve starts a server and returns its URL.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func mustNew(t *testing.T, o httptask.Options) task.Handler {
	t.Helper()
	h, err := httptask.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// received is what a test wants to know of a request.
type received struct {
	Method, URI, Host, Body string
	Header                  http.Header
}

func receive(r *http.Request) received {
	b, _ := io.ReadAll(r.Body)
	for _, name := range []string{"Accept-Encoding", "User-Agent", "Content-Length"} {
		r.Header.Del(name)
	}
	return received{r.Method, r.RequestURI, r.Host, string(b), r.Header}
}

// hangUp blocks until the client has closed the connection, which a server
// notices only after it has read the request.
func hangUp(r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func TestRequest(t *testing.T) {
	full := &task.Message{
		ID: "id 1\n", Name: "img/resize", Queue: "q&a=1", Attempt: 3,
		Args: []byte(`[1, "x"]`), Kwargs: []byte(`{"k":1}`), Headers: map[string]string{"trace": "t"},
	}
	const fullBody = `{"task":"img/resize","id":"id 1\n","args":[1,"x"],"kwargs":{"k":1},"headers":{"trace":"t"},"attempt":3,"queue":"q\u0026a=1"}`
	fullHeader := func(extra ...string) http.Header {
		h := http.Header{
			"X-Magne-Task": {"img/resize"}, "X-Magne-Id": {"id%201%0A"}, "Idempotency-Key": {"id%201%0A"},
			"X-Magne-Attempt": {"3"}, "X-Magne-Queue": {"q&a=1"},
		}
		for i := 0; i < len(extra); i += 2 {
			h.Set(extra[i], extra[i+1])
		}
		return h
	}
	got := make(chan received, 1)
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) { got <- receive(r) })
	host := strings.TrimPrefix(url, "http://")
	for _, tt := range []struct {
		name string
		o    httptask.Options
		m    *task.Message
		want received
	}{
		{
			"post",
			httptask.Options{URL: url + "/hooks/{task}/{id}?q={queue}"},
			full,
			received{"POST", "/hooks/img%2Fresize/id%201%0A?q=q%26a%3D1", host, fullBody, fullHeader("Content-Type", "application/json")},
		},
		{
			"least",
			httptask.Options{URL: url},
			&task.Message{Name: "a", Queue: "q", Attempt: 1},
			received{
				"POST", "/", host, `{"task":"a","id":"","args":[],"kwargs":{},"headers":{},"attempt":1,"queue":"q"}`,
				http.Header{"X-Magne-Task": {"a"}, "X-Magne-Attempt": {"1"}, "X-Magne-Queue": {"q"}, "Content-Type": {"application/json"}},
			},
		},
		{
			"get",
			httptask.Options{URL: url + "/{queue}", Method: "GET"},
			full,
			received{"GET", "/q&a=1", host, "", fullHeader()},
		},
		{
			"headers",
			httptask.Options{URL: strings.Replace(url, "://", "://u:p@", 1), Method: "PUT", Headers: map[string]string{"x-key": "é", "host": "example.org"}},
			full,
			received{"PUT", "/", "example.org", fullBody, fullHeader("Content-Type", "application/json", "X-Key", "é", "Authorization", "Basic dTpw")},
		},
		{
			"own authorization",
			httptask.Options{URL: strings.Replace(url, "://", "://u:p@", 1), Method: "DELETE", Headers: map[string]string{"authorization": "Bearer b"}},
			full,
			received{"DELETE", "/", host, "", fullHeader("Authorization", "Bearer b")},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := mustNew(t, tt.o).Handle(t.Context(), tt.m); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, <-got); d != "" {
				t.Errorf("request (-want +got):\n%s", d)
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	for _, tt := range []struct {
		code  int
		after string
		kind  task.Kind
		wait  time.Duration
	}{
		{200, "", task.KindDone, 0},
		{204, "", task.KindDone, 0},
		{299, "", task.KindDone, 0},
		{301, "", task.KindDiscard, 0},
		{304, "", task.KindDiscard, 0},
		{307, "", task.KindDiscard, 0},
		{400, "", task.KindDiscard, 0},
		{404, "5", task.KindDiscard, 0},
		{418, "", task.KindDiscard, 0},
		{429, "", task.KindRetry, 0},
		{429, "7", task.KindRetry, 7 * time.Second},
		{429, "soon", task.KindRetry, 0},
		{429, "-1", task.KindRetry, 0},
		{503, "0", task.KindRetry, 0},
		{503, "4294967295", task.KindRetry, 365 * 24 * time.Hour},
		{503, "Mon, 02 Jan 2006 15:04:05 GMT", task.KindRetry, 0},
		{500, "5", task.KindFailed, 0},
		{502, "", task.KindFailed, 0},
		{599, "", task.KindFailed, 0},
	} {
		t.Run(fmt.Sprint(tt.code, tt.after), func(t *testing.T) {
			followed := false
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				followed = followed || r.URL.Path == "/elsewhere"
				w.Header().Set("Location", "/elsewhere?token=secret")
				if tt.after != "" {
					w.Header().Set("Retry-After", tt.after)
				}
				w.WriteHeader(tt.code)
			})
			err := mustNew(t, httptask.Options{URL: url}).Handle(t.Context(), &task.Message{Name: "a"})
			if o := task.OutcomeOf(err); o.Kind != tt.kind || o.After != tt.wait {
				t.Errorf("got %v after %v (%v), want %v after %v", o.Kind, o.After, err, tt.kind, tt.wait)
			}
			if err != nil && !strings.Contains(err.Error(), fmt.Sprint("POST ", url, ": ", tt.code)) {
				t.Errorf("got error %v, want one with the request and the status", err)
			}
			if followed {
				t.Error("the redirect was followed")
			}
		})
	}
}

func TestRetryAfterDate(t *testing.T) {
	at := time.Now().Add(time.Hour)
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", at.UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	err := mustNew(t, httptask.Options{URL: url}).Handle(t.Context(), &task.Message{Name: "a"})
	if o := task.OutcomeOf(err); o.Kind != task.KindRetry || o.After < 58*time.Minute || o.After > time.Hour {
		t.Errorf("got %v after %v, want a retry after about 1h", o.Kind, o.After)
	}
}

func TestErrorsQuoteTheAnswerInPart(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = io.WriteString(w, "no\r\n\x1b[31msuch\xff width "+strings.Repeat("x", 100_000))
	})
	err := mustNew(t, httptask.Options{URL: url + "/a"}).Handle(t.Context(), &task.Message{Name: "a"})
	if err == nil {
		t.Fatal("got no error")
	}
	want := "httptask: POST " + url + "/...: 422 Unprocessable Entity: no [31msuch width xxx"
	if !strings.HasPrefix(err.Error(), want) || len(err.Error()) > 400 {
		t.Errorf("got %v, want it short and to begin with %v", err, want)
	}
}

func TestErrorsHideSecrets(t *testing.T) {
	refuse := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) })
	hang := serve(t, func(_ http.ResponseWriter, r *http.Request) { hangUp(r) })
	closed := httptest.NewServer(nil)
	closed.Close()
	for _, base := range []string{refuse, hang, closed.URL} {
		o := httptask.Options{
			URL:     strings.Replace(base, "://", "://user:secret@", 1) + "/secret/{task}?token=secret",
			Headers: map[string]string{"X-Key": "secret"}, Timeout: 50 * time.Millisecond,
		}
		err := mustNew(t, o).Handle(t.Context(), &task.Message{Name: "a"})
		if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), base+"/...:") {
			t.Errorf("got error %v, want one that names %s and no secret", err, base)
		}
	}
	for _, o := range []httptask.Options{
		{URL: "http://user:secret@host:port/"},
		{URL: "http://user:secret@/"},
		{URL: "http://user:sec\nret@h/"},
		{URL: "amqp://user:secret@h/"},
		{URL: "http://h/?token=secret&{what}"},
		{URL: "http://h/%zz?token=secret"},
		{URL: "http://h/", Headers: map[string]string{"X-Key": "secret\r\n"}},
	} {
		if _, err := httptask.New(o); err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "ret@") {
			t.Errorf("got error %v, want one without the secret", err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, tt := range []struct {
		o    httptask.Options
		want string
	}{
		{httptask.Options{}, "url: missing"},
		{httptask.Options{URL: "host/path"}, "want http:// or https://"},
		{httptask.Options{URL: "ftp://h/"}, "want http:// or https://"},
		{httptask.Options{URL: "http://"}, "no host"},
		{httptask.Options{URL: "http:///p"}, "no host"},
		{httptask.Options{URL: "http://h:x/"}, "malformed"},
		{httptask.Options{URL: "http://{task}/"}, "in the path and the query only"},
		{httptask.Options{URL: "http://h{queue}"}, "in the path and the query only"},
		{httptask.Options{URL: "http://h/{name}"}, `unknown placeholder "{name}": want one of {task}, {id}, {queue}`},
		{httptask.Options{URL: "http://h/{}"}, `unknown placeholder "{}"`},
		{httptask.Options{URL: "http://h/{Task}"}, `unknown placeholder "{Task}"`},
		{httptask.Options{URL: "http://h/{task"}, `a "{" without "}"`},
		{httptask.Options{URL: "http://h/task}"}, `a "}" without "{"`},
		{httptask.Options{URL: "http://h/{{task}}"}, `unknown placeholder "{{task}"`},
		{httptask.Options{URL: "http://h/#{task}"}, "fragment"},
		{httptask.Options{URL: "http://h/a/../{task}"}, `".."`},
		{httptask.Options{URL: "http://h/", Method: "post"}, `method "post": want one of GET, HEAD, POST, PUT, PATCH, DELETE`},
		{httptask.Options{URL: "http://h/", MaxConcurrent: -1}, "max concurrent"},
		{httptask.Options{URL: "http://h/", Timeout: -1}, "timeout"},
		{httptask.Options{URL: "http://h/", Headers: map[string]string{"": "x"}}, `header "": not a header name`},
		{httptask.Options{URL: "http://h/", Headers: map[string]string{"a b": "x"}}, `header "a b": not a header name`},
		{httptask.Options{URL: "http://h/", Headers: map[string]string{"X": "a\r\nY: b"}}, `header "X": its value has a control character`},
		{httptask.Options{URL: "http://h/", Headers: map[string]string{"x-magne-id": "x"}}, `header "x-magne-id": is set by`},
		{httptask.Options{URL: "http://h/", Headers: map[string]string{"content-length": "1"}}, `header "content-length": is set by`},
		{httptask.Options{URL: "http://h/", Headers: map[string]string{"a-b": "1", "A-B": "2"}}, `header "A-B": given twice`},
		{httptask.Options{URL: "ftp://h/", Method: "x"}, "httptask: url: want http:// or https://\nhttptask: method"},
	} {
		if _, err := httptask.New(tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: got error %v, want one with %q", tt.o, err, tt.want)
		}
	}
}

// A message that has no fitting URL or body is given up and sends nothing.
func TestUnfitMessages(t *testing.T) {
	url := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	for _, tt := range []struct {
		url  string
		m    task.Message
		want string
	}{
		{"/j/{id}", task.Message{Name: "a"}, "the URL needs {id}, and the message has none"},
		{"/j/{id}", task.Message{Name: "a", ID: ".."}, `segment "." or ".."`},
		{"/j/.{id}/", task.Message{Name: "a", ID: "."}, `segment "." or ".."`},
		{"/j/{task}", task.Message{Name: "a/../../b"}, `segment "." or ".."`},
		{"/", task.Message{Name: "a", Args: []byte(`[`)}, `encode task "a"`},
	} {
		err := mustNew(t, httptask.Options{URL: url + tt.url}).Handle(t.Context(), &tt.m)
		if o := task.OutcomeOf(err); o.Kind != task.KindDiscard || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %+v: got %v %v, want a discard with %q", tt.url, tt.m, o.Kind, err, tt.want)
		}
	}
}

func TestDeadlines(t *testing.T) {
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) { hangUp(r) })
	h := mustNew(t, httptask.Options{URL: url})
	why := errors.New("drained")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, why)
	defer cancel()
	err := h.Handle(ctx, &task.Message{Name: "a"})
	if !errors.Is(err, why) || task.OutcomeOf(err).Kind != task.KindFailed {
		t.Errorf("got %v, want a failure that wraps the cause", err)
	}
	h = mustNew(t, httptask.Options{URL: url, Timeout: 20 * time.Millisecond})
	err = h.Handle(t.Context(), &task.Message{Name: "a"})
	if o := task.OutcomeOf(err); o.Kind != task.KindFailed || !strings.HasSuffix(err.Error(), "no answer within 20ms") {
		t.Errorf("got %v %v, want a failure that says the timeout", o.Kind, err)
	}
}
