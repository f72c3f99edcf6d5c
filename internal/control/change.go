package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/magne-actors/magne-actors/supervisor"
)

// maxYAML is how large a configuration may be.
const maxYAML = 4 << 20

// errRequest is a mistake of the client.
var errRequest = errors.New("wrong request")

func badRequest(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errRequest}, args...)...)
}

// changes are the routes that change something, and the one that says what a
// reload would change.
func (s *Source) changes() []route {
	return []route{
		{"POST", "/v1/restart/{id...}", change(named(s.Restart))},
		{"POST", "/v1/scale/{pool...}", change(s.scale())},
		{"POST", "/v1/pause/{pool...}", change(named(s.Pause))},
		{"POST", "/v1/resume/{pool...}", change(named(s.Resume))},
		{"POST", "/v1/limit/{pool...}", change(s.limit())},
		{"POST", "/v1/cancel", change(s.cancel())},
		{"POST", "/v1/signal/{id...}", change(s.signal())},
		{"POST", "/v1/recycle/{id...}", change(named(s.Recycle))},
		{"POST", "/v1/kill/{id...}", change(s.kill())},
		{"POST", "/v1/reload", change(s.reload())},
		{"POST", "/v1/diff", change(s.diff())},
	}
}

// action does what a request asks for, and returns the body of the answer. A nil
// one is not offered.
type action func(ctx context.Context, r *http.Request) (any, error)

// done is an answer that has nothing to say.
type done struct{}

// canceled is the answer to POST /v1/cancel.
type canceled struct {
	Cancelled int `json:"cancelled"` // tasks
}

// subject is the pool or node that a path ends with.
func subject(r *http.Request) string { return cmp.Or(r.PathValue("id"), r.PathValue("pool")) }

// named is an action on a pool or a node.
func named(f func(ctx context.Context, id string) error) action {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, r *http.Request) (any, error) { return done{}, f(ctx, subject(r)) }
}

func (s *Source) scale() action {
	if s.Scale == nil {
		return nil
	}
	return func(ctx context.Context, r *http.Request) (any, error) {
		n, err := strconv.Atoi(r.URL.Query().Get("workers"))
		if err != nil || n < 1 {
			return nil, badRequest("workers is a number from 1")
		}
		return done{}, s.Scale(ctx, subject(r), n)
	}
}

func (s *Source) limit() action {
	if s.Limit == nil {
		return nil
	}
	return func(ctx context.Context, r *http.Request) (any, error) {
		q := r.URL.Query()
		high, err := strconv.Atoi(q.Get("high"))
		if err != nil || high < 1 {
			return nil, badRequest("high is a number from 1")
		}
		low := min((high+1)/2, high-1) // as in a configuration that has none
		if q.Has("low") {
			low, err = strconv.Atoi(q.Get("low"))
		}
		if err != nil || low < 0 || low >= high {
			return nil, badRequest("low is a number below high, and not below 0")
		}
		return done{}, s.Limit(ctx, subject(r), high, low)
	}
}

func (s *Source) cancel() action {
	if s.Cancel == nil {
		return nil
	}
	return func(ctx context.Context, r *http.Request) (any, error) {
		id := r.URL.Query().Get("task")
		if id == "" {
			return nil, badRequest("task is the id of a task")
		}
		n, err := s.Cancel(ctx, id)
		return canceled{n}, err
	}
}

func (s *Source) signal() action {
	if s.Signal == nil {
		return nil
	}
	return func(_ context.Context, r *http.Request) (any, error) {
		sig, err := ParseSignal(r.URL.Query().Get("signal"))
		if err != nil {
			return nil, badRequest("%w", err)
		}
		return done{}, s.Signal(subject(r), sig)
	}
}

func (s *Source) kill() action {
	if s.Kill == nil {
		return nil
	}
	return func(_ context.Context, r *http.Request) (any, error) { return done{}, s.Kill(subject(r)) }
}

func (s *Source) reload() action {
	if s.Reload == nil {
		return nil
	}
	return func(ctx context.Context, _ *http.Request) (any, error) { return listed(s.Reload(ctx)) }
}

func (s *Source) diff() action {
	if s.Diff == nil {
		return nil
	}
	return func(ctx context.Context, r *http.Request) (any, error) {
		yaml, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxYAML))
		if err != nil {
			return nil, badRequest("read the configuration: %w", err)
		}
		return listed(s.Diff(ctx, yaml))
	}
}

// listed is never null in JSON.
func listed(list []Change, err error) ([]Change, error) {
	list = append([]Change{}, list...)
	for i := range list {
		list[i].Keys = append([]string{}, list[i].Keys...)
	}
	return list, err
}

// change answers when it is done, has failed, or takes too long; it goes on then.
func change(do action) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if do == nil {
			write(w, http.StatusNotImplemented, problem{Error: ErrNotOffered.Error()})
			return
		}
		const limit = changeTimeout - time.Second
		deadlines := http.NewResponseController(w)
		_ = deadlines.SetWriteDeadline(time.Now().Add(limit + answerTimeout))
		if r.ContentLength == 0 {
			_ = deadlines.SetReadDeadline(time.Time{}) // that of the request, which would end its context
		}
		ctx, cancel := context.WithTimeoutCause(r.Context(), limit, fmt.Errorf("it takes longer than %v and goes on", limit))
		defer cancel()
		body, err := do(ctx, r)
		if err != nil {
			refuse(w, body, err)
			return
		}
		write(w, http.StatusOK, body)
	}
}

// refuse answers with an error.
func refuse(w http.ResponseWriter, body any, err error) {
	code, p := http.StatusConflict, problem{Error: err.Error()}
	p.Changes, _ = body.([]Change)
	switch invalid, ok := errors.AsType[*InvalidError](err); {
	case ok:
		code, p.Mistakes, p.Changes = http.StatusUnprocessableEntity, invalid.Mistakes, nil
	case errors.Is(err, errRequest):
		code = http.StatusBadRequest
	case errors.Is(err, supervisor.ErrNotFound):
		code = http.StatusNotFound
	}
	write(w, code, p)
}
