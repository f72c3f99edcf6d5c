package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magne-actors/magne-actors/supervisor"
)

// fetch asks a handler on a goroutine of its own.
func fetch(ctx context.Context, h http.Handler, path string) <-chan *httptest.ResponseRecorder {
	answered := make(chan *httptest.ResponseRecorder, 1)
	go func() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", path, nil))
		answered <- w
	}()
	return answered
}

// TestLongPoll: an answer comes as soon as there is something that is wanted, or
// when the time is over.
func TestLongPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events Events
		h := newHandler(t.Context(), Source{Tree: sampleTree, Events: &events})
		began := time.Now()
		answered := fetch(t.Context(), h, "/v1/events?after=0&wait=30s&node=mail&type=failed&type=parked")
		for _, e := range []supervisor.Event{
			{Type: supervisor.EventFailed, ID: "other/1"}, {Type: supervisor.EventStarted, ID: "mail/1"}, {Type: supervisor.EventParked, ID: "pool:mail"},
		} {
			synctest.Wait()
			if len(answered) > 0 {
				t.Fatalf("an answer before %+v", e)
			}
			time.Sleep(time.Second)
			events.Add(e)
		}
		if got := (<-answered).Body.String(); !strings.Contains(got, `"seq":3`) || strings.Contains(got, `"seq":2`) || time.Since(began) != 3*time.Second {
			t.Errorf("after %v: got %s, want the third event after 3s", time.Since(began), got)
		}
		began = time.Now()
		if got := (<-fetch(t.Context(), h, "/v1/events?after=3&wait=30s")).Body.String(); got != "[]\n" || time.Since(began) != 30*time.Second {
			t.Errorf("after %v: got %q, want [] after 30s", time.Since(began), got)
		}
		// Of another instance, perhaps: what comes is not after it.
		answered = fetch(t.Context(), h, "/v1/events?after=99&wait=1s")
		synctest.Wait()
		events.Add(supervisor.Event{})
		if got := (<-answered).Body.String(); got != "[]\n" {
			t.Errorf("after one that has not been: got %q", got)
		}
	})
}

// TestLongPollEnds: with the server, and with the client.
func TestLongPollEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		h := newHandler(ctx, Source{Tree: sampleTree, Logs: NewLogs(slog.DiscardHandler)})
		gone, leave := context.WithCancel(t.Context())
		began := time.Now()
		first := fetch(gone, h, "/v1/logs?wait=1m")
		second := fetch(t.Context(), h, "/v1/logs?wait=1m")
		nobody := fetch(t.Context(), h, "/v1/events?wait=1m") // there are no events
		leave()
		<-first
		stop()
		if got := (<-second).Code; got != http.StatusOK || (<-nobody).Code != http.StatusOK || time.Since(began) != 0 {
			t.Errorf("after %v: got %d, want 200 at once", time.Since(began), got)
		}
	})
}

// TestWaitersAreBounded: one too many is told so, and there is room again when
// they have gone.
func TestWaitersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events Events
		h := newHandler(t.Context(), Source{Tree: sampleTree, Events: &events})
		var waiting []<-chan *httptest.ResponseRecorder
		for range maxWaiting {
			waiting = append(waiting, fetch(t.Context(), h, "/v1/events?wait=10s"))
		}
		synctest.Wait()
		w := <-fetch(t.Context(), h, "/v1/events?wait=10s")
		if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1" {
			t.Errorf("one too many: got %d %v", w.Code, w.Header())
		}
		if err := (Client{}).refused(reply{code: w.Code, body: w.Body.Bytes()}); !errors.Is(err, ErrBusy) || errors.Is(err, ErrUnreachable) {
			t.Errorf("its error: got %v, want ErrBusy", err)
		}
		if w := <-fetch(t.Context(), h, "/v1/events"); w.Code != http.StatusOK {
			t.Errorf("one that does not wait: got %d", w.Code)
		}
		events.Add(supervisor.Event{ID: "x"})
		for _, each := range waiting {
			if w := <-each; !strings.Contains(w.Body.String(), `"x"`) {
				t.Errorf("one that waited: got %d %s", w.Code, w.Body)
			}
		}
		if w := <-fetch(t.Context(), h, "/v1/events?after=1&wait=10s"); w.Code != http.StatusOK {
			t.Errorf("when there is room again: got %d", w.Code)
		}
	})
}

// TestClientPolls: the parameters of a Query arrive.
func TestClientPolls(t *testing.T) {
	var events Events
	logs := NewLogs(wants{slog.DiscardHandler})
	log := slog.New(logs.Handler())
	for i := range 5 {
		events.Add(supervisor.Event{Type: supervisor.EventFailed, ID: fmt.Sprintf("mail/%d", i)})
		log.Debug("more", "worker", fmt.Sprintf("mail/%d", i))
		log.Warn("much", "worker", fmt.Sprintf("mail/%d", i))
	}
	c := Client{Socket: start(t, Source{Tree: sampleTree, Events: &events, Logs: logs})}
	for _, tt := range []struct {
		q             Query
		events, first int
		logs          int
	}{
		{Query{}, 5, 1, 10},
		{Query{After: 3}, 2, 4, 7},
		{Query{Tail: 2}, 2, 4, 2},
		{Query{Tail: 20, Wait: time.Minute}, 5, 1, 10},
		{Query{Node: "mail/2"}, 1, 3, 2},
		{Query{Node: "mail", Types: []string{"failed"}}, 5, 1, 10},
		{Query{Types: []string{"started", "ended"}}, 0, 0, 10},
		{Query{Level: slog.LevelInfo}, 5, 1, 5},
		{Query{Level: slog.LevelError}, 5, 1, 0},
	} {
		list, err := c.EventsOf(t.Context(), tt.q)
		if err != nil || len(list) != tt.events || tt.events > 0 && list[0].Seq != uint64(tt.first) {
			t.Errorf("events of %+v: got %+v, %v, want %d from %d", tt.q, list, err, tt.events, tt.first)
		}
		entries, err := c.Logs(t.Context(), tt.q)
		if err != nil || len(entries) != tt.logs {
			t.Errorf("logs of %+v: got %+v, %v, want %d", tt.q, entries, err, tt.logs)
		}
	}
	none := Client{Socket: start(t, Source{Tree: sampleTree})}
	if _, err := none.Logs(t.Context(), Query{}); !errors.Is(err, ErrNotOffered) {
		t.Errorf("without a log: got %v, want ErrNotOffered", err)
	}
}

func TestWrongQuestions(t *testing.T) {
	for query, want := range map[string]string{
		"after=x":    "after is the number of an entry",
		"after=-1":   "after is",
		"wait=30":    "wait is a time of at most 1m0s",
		"wait=61s":   "wait is",
		"wait=-1s":   "wait is",
		"tail=0":     "tail is a number from 1",
		"level=loud": "level is one of debug, info, warn, error",
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseAsked(q); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", query, err, want)
		}
	}
}
