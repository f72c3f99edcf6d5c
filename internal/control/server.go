package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	snapshotTimeout = 2 * time.Second  // for Source.Tree, waiting for its turn included
	answerTimeout   = 10 * time.Second // for writing an answer to a client that reads slowly
	profileTimeout  = 10 * time.Minute // the same for a profile, whose length the client asks for
	closeTimeout    = time.Second      // for requests that are being answered when Serve is told to end
	maxHeader       = 16 << 10
)

// Serve answers on the unix socket at path until ctx ends, and then returns nil;
// requests that are being answered get one more second. It returns an error at
// once when it cannot listen there: ErrInUse when another instance does. log
// may be nil.
func Serve(ctx context.Context, path string, src Source, log *slog.Logger) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	sock, err := listen(ctx, path)
	if err != nil {
		return err
	}
	return serve(ctx, sock, src, log)
}

func serve(ctx context.Context, sock *socket, src Source, log *slog.Logger) error {
	defer sock.remove()
	log.Info("control socket open", "socket", sock.path)
	if err := answerOn(ctx, sock, newHandler(ctx, src), log); err != nil {
		return fmt.Errorf("control: serve %q: %w", sock.path, err)
	}
	return nil
}

// answerOn answers on l until ctx ends, and returns nil then.
func answerOn(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       answerTimeout,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		// No WriteTimeout: net/http/pprof refuses profiles that are longer. Each
		// handler sets the deadline of its answer.
	}
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		shut(context.WithoutCancel(ctx), srv)
	})
	err := srv.Serve(l)
	if !stop() {
		<-closed
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// shut lets running requests end, but not for long: a profile is no reason to
// keep a process alive.
func shut(ctx context.Context, srv *http.Server) {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	if srv.Shutdown(ctx) != nil {
		_ = srv.Close()
	}
}

// newHandler answers all routes; those that wait for something answer when ctx
// ends.
func newHandler(ctx context.Context, src Source) http.Handler {
	mux := http.NewServeMux()
	for _, r := range routes(ctx.Done(), src) {
		mux.Handle(r.method+" "+r.path, r.handler)
	}
	return mux
}

func slow(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(profileTimeout))
		h(w, r)
	}
}

// answer writes view of a fresh snapshot, or 503 when there is none in time.
func answer[T any](w http.ResponseWriter, r *http.Request, s *snapshots[T], view func(T) any) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(snapshotTimeout + answerTimeout))
	ctx, cancel := context.WithTimeout(r.Context(), snapshotTimeout)
	defer cancel()
	code := http.StatusServiceUnavailable
	var body any
	n, err := s.get(ctx)
	switch {
	case err == nil:
		code, body = http.StatusOK, view(n)
	case errors.Is(err, ErrNoBroker), errors.Is(err, ErrNotFound):
		code = http.StatusNotFound
		fallthrough
	default:
		body = problem{Error: err.Error()}
	}
	write(w, code, body)
}

// write writes an answer.
func write(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // a client that went away is no news
}

// problem is the body of an answer that is not 200.
type problem struct {
	Error string `json:"error"`
	// Of a reload and a diff: what is wrong with the file, and what was changed all
	// the same.
	Mistakes []string `json:"mistakes,omitempty"`
	Changes  []Change `json:"changes,omitempty"`
	// Of /readyz: how each part does.
	Detail any `json:"detail,omitempty"`
}

// snapshots takes one snapshot at a time, so that a Source that hangs costs
// one goroutine and not one for each request.
type snapshots[T any] struct {
	take func() (T, error)
	turn chan struct{} // holds a token while take runs
}

func newSnapshots[T any](take func() (T, error)) *snapshots[T] {
	return &snapshots[T]{take: take, turn: make(chan struct{}, 1)}
}

var (
	errNoTree  = errors.New("the tree is not there yet")
	errTooSlow = errors.New("no snapshot in time")
)

// get blocks until there is a snapshot or ctx ends.
func (s *snapshots[T]) get(ctx context.Context) (v T, err error) {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return v, errTooSlow
	}
	out := make(chan taken[T], 1)
	go s.run(out)
	select {
	case t := <-out:
		return t.value, t.err
	case <-ctx.Done():
		return v, errTooSlow
	}
}

type taken[T any] struct {
	value T
	err   error
}

// run reports by defer with the error preset, so that a panic or a Goexit in
// the Source is an answer, too.
func (s *snapshots[T]) run(out chan<- taken[T]) {
	t := taken[T]{err: errors.New("taking the snapshot failed")}
	defer func() {
		if p := recover(); p != nil {
			t = taken[T]{err: fmt.Errorf("taking the snapshot panicked: %v", p)}
		}
		out <- t
		<-s.turn
	}()
	v, err := s.take()
	t = taken[T]{v, err}
}
