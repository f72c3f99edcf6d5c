package control

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
)

// TCP says where ServeTCP listens and who may ask.
type TCP struct {
	Address string // host:port
	Token   string // that each request must bear
	// CertFile and KeyFile are PEM files. Without them the token and all else goes
	// in plain text.
	CertFile, KeyFile string
}

// ServeTCP answers on a TCP address what Serve answers on a socket, to those who
// bear the token: every route, the profiles too. It returns nil when ctx ends, and
// an error at once when there is no token, or when it cannot listen there. log may
// be nil; the token is not logged.
func ServeTCP(ctx context.Context, t TCP, src Source, log *slog.Logger) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	l, err := t.listen(ctx)
	if err != nil {
		return err
	}
	if t.CertFile == "" && !isLoopback(l.Addr()) {
		log.Warn("the control address has no TLS: whoever reads the network reads its token", "address", l.Addr().String())
	}
	return t.serve(ctx, l, src, log)
}

// CheckTCP says whether ServeTCP could listen now, so that a wrong address or
// certificate is known before any actor is started.
func CheckTCP(ctx context.Context, t TCP) error {
	l, err := t.listen(ctx)
	if err != nil {
		return err
	}
	return l.Close()
}

func (t TCP) serve(ctx context.Context, l net.Listener, src Source, log *slog.Logger) error {
	log.Info("control address open", "address", l.Addr().String(), "tls", t.CertFile != "")
	if err := answerOn(ctx, l, bearing(t.Token, newHandler(ctx, src)), log); err != nil {
		return fmt.Errorf("control: serve %s: %w", t.Address, err)
	}
	return nil
}

func (t TCP) listen(ctx context.Context) (net.Listener, error) {
	if t.Token == "" {
		return nil, fmt.Errorf("control: listen on %s: no token: who can reach it could do everything; set control.token", t.Address)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", t.Address)
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	if t.CertFile == "" && t.KeyFile == "" {
		return l, nil
	}
	cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("control: listen on %s: certificate: %w", t.Address, err)
	}
	return tls.NewListener(l, &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"},
	}), nil
}

func isLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// bearing answers only requests that bear the token. It compares digests: their
// lengths are equal, so that the time tells nothing of the token.
func bearing(token string, h http.Handler) http.Handler {
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		got := sha256.Sum256([]byte(strings.TrimSpace(given)))
		if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(want[:], got[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="magne-actors"`)
			write(w, http.StatusUnauthorized, problem{Error: ErrDenied.Error()})
			return
		}
		h.ServeHTTP(w, r)
	})
}

// checkAddress refuses what a client cannot dial.
func checkAddress(address string) (scheme, host string, err error) {
	scheme, host, found := strings.Cut(address, "://")
	if !found {
		scheme, host = "http", address
	}
	host = strings.TrimSuffix(host, "/")
	if scheme != "http" && scheme != "https" {
		return "", "", fmt.Errorf("control: address %q: %w: it is host:port, http://host:port or https://host:port", address, ErrAddress)
	}
	if _, port, err := net.SplitHostPort(host); err != nil || port == "" {
		return "", "", fmt.Errorf("control: address %q: %w: it has no port", address, ErrAddress)
	}
	return scheme, host, nil
}
