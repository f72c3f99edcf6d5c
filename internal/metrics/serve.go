package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	headerTimeout = 5 * time.Second
	answerTimeout = scrapeTimeout + 10*time.Second // for a client that reads slowly
	closeTimeout  = time.Second                    // for requests that are being answered when Run is told to end
	maxHeader     = 16 << 10
)

// Routes are the answers of a Server; each is needed.
type Routes struct {
	Metrics http.Handler // GET /metrics
	Live    http.Handler // GET /livez
	Ready   http.Handler // GET /readyz
}

// Server serves figures and probes over TCP, in plain HTTP and to everybody who can
// reach the address; and nothing that would change anything. Make it with Listen.
type Server struct {
	address string
	server  func() *http.Server
	log     *slog.Logger
	bound   atomic.Pointer[net.Listener] // until it is served
}

// Listen binds the address, host:port, so that a wrong one is known before anything
// is started. It serves nothing before Run. log may be nil.
func Listen(ctx context.Context, address string, r Routes, log *slog.Logger) (*Server, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", r.Metrics)
	mux.Handle("GET /livez", r.Live)
	mux.Handle("GET /readyz", r.Ready)
	s := &Server{address: address, log: log, server: func() *http.Server {
		return &http.Server{
			Handler:           mux,
			ReadHeaderTimeout: headerTimeout,
			ReadTimeout:       headerTimeout,
			WriteTimeout:      answerTimeout,
			IdleTimeout:       2 * time.Minute, // Prometheus comes back each minute, and keeps the connection
			MaxHeaderBytes:    maxHeader,
			ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		}
	}}
	l, err := s.listen(ctx)
	if err != nil {
		return nil, err
	}
	s.bound.Store(&l)
	return s, nil
}

func (s *Server) listen(ctx context.Context) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", s.address)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return l, nil
}

// Addr is where the Server listens, or nil once Run has been called.
func (s *Server) Addr() net.Addr {
	if l := s.bound.Load(); l != nil {
		return (*l).Addr()
	}
	return nil
}

// Run answers until ctx ends, and then returns nil; requests that are being
// answered get one more second. Called again after a failure it binds the address
// again. It is for one goroutine at a time.
func (s *Server) Run(ctx context.Context) error {
	var l net.Listener
	if first := s.bound.Swap(nil); first != nil {
		l = *first
	} else {
		var err error
		if l, err = s.listen(ctx); err != nil {
			return err
		}
	}
	srv := s.server()
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		if srv.Shutdown(ctx) != nil {
			_ = srv.Close()
		}
	})
	s.log.Info("metrics served", "address", l.Addr().String())
	err := srv.Serve(l)
	if !stop() {
		<-closed
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("metrics: serve %s: %w", s.address, err)
}

// Close releases the address of a Server whose Run was never called.
func (s *Server) Close() error {
	if l := s.bound.Swap(nil); l != nil {
		return (*l).Close()
	}
	return nil
}
