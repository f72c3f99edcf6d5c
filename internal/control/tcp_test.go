package control

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const token = "s3cr3t-of-the-test"

// overTCP serves src until the test ends and returns the address, and the log.
func overTCP(t *testing.T, tcp TCP, src Source) (string, *bytes.Buffer) {
	t.Helper()
	l, err := tcp.listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	log := new(bytes.Buffer)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- tcp.serve(ctx, l, src, slog.New(slog.NewTextHandler(log, nil))) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
		if strings.Contains(log.String(), token) || !strings.Contains(log.String(), "control address open") {
			t.Errorf("the log: %s", log)
		}
	})
	return l.Addr().String(), log
}

func TestTCP(t *testing.T) {
	address, _ := overTCP(t, TCP{Address: "127.0.0.1:0", Token: token}, Source{Tree: sampleTree})
	if n, err := (Client{Address: address, Token: token}).Tree(t.Context()); err != nil || n.ID != "root" {
		t.Errorf("with the token: got %v, %v", n, err)
	}
	if n, err := (Client{Address: "http://" + address + "/", Token: token}).Tree(t.Context()); err != nil || n.ID != "root" {
		t.Errorf("by URL: got %v, %v", n, err)
	}
	for _, wrong := range []string{"", "x", token + "x", token[1:]} {
		c := Client{Address: address, Token: wrong}
		if _, err := c.Tree(t.Context()); !errors.Is(err, ErrDenied) || !errors.Is(err, ErrUnreachable) || strings.Contains(err.Error(), token) {
			t.Errorf("token %q: got %v, want ErrDenied", wrong, err)
		}
	}
	for _, bad := range []string{"localhost", "ftp://h:1", "http://", "http://h:"} {
		if _, err := (Client{Address: bad}).Tree(t.Context()); err == nil || errors.Is(err, ErrUnreachable) {
			t.Errorf("address %q: got %v, want that it is none", bad, err)
		}
	}
}

// TestTCPNeedsTheToken: on every route, the profiles among them.
func TestTCPNeedsTheToken(t *testing.T) {
	h := bearing(token, newHandler(t.Context(), Source{Tree: sampleTree}))
	for _, r := range routes(nil, Source{}) {
		path := strings.NewReplacer("{id...}", "root", "{pool...}", "mail").Replace(r.path)
		for _, header := range []string{"", "Bearer", "Bearer ", "Basic " + token, token, "Bearer x " + token} {
			req := httptest.NewRequest(r.method, path, nil)
			req.Header.Set("Authorization", header)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, req)
			if w.Code != http.StatusUnauthorized || w.Header().Get("WWW-Authenticate") == "" || strings.Contains(w.Body.String(), token) {
				t.Errorf("%s %s with %q: got %d %s", r.method, path, header, w.Code, w.Body)
			}
		}
	}
	for _, path := range []string{"/v1/tree", "/livez", "/readyz", "/debug/pprof/symbol"} {
		req := httptest.NewRequest("GET", path, nil)
		req.Header.Set("Authorization", "bearer "+token)
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, req); w.Code != http.StatusOK {
			t.Errorf("%s with the token: got %d", path, w.Code)
		}
	}
}

func TestTLS(t *testing.T) {
	// The certificate of httptest is for 127.0.0.1.
	borrowed := httptest.NewTLSServer(nil)
	defer borrowed.Close()
	cert := borrowed.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tcp := TCP{Address: "127.0.0.1:0", Token: token, CertFile: write("cert.pem", "CERTIFICATE", cert.Certificate[0]), KeyFile: write("key.pem", "PRIVATE KEY", key)}
	address, _ := overTCP(t, tcp, Source{Tree: sampleTree})
	pool := x509.NewCertPool()
	pool.AddCert(borrowed.Certificate())
	if _, err := (Client{Address: "https://" + address, Token: token, CAs: pool}).Tree(t.Context()); err != nil {
		t.Errorf("got %v", err)
	}
	for _, c := range []Client{{Address: "https://" + address, Token: token}, {Address: address, Token: token}} {
		if _, err := c.Tree(t.Context()); err == nil {
			t.Errorf("%v is answered", c)
		}
	}
	tcp.KeyFile = filepath.Join(dir, "none")
	if err := ServeTCP(t.Context(), tcp, Source{}, nil); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without a key: got %v", err)
	}
}

func TestTCPRefuses(t *testing.T) {
	if err := ServeTCP(t.Context(), TCP{Address: "127.0.0.1:0"}, Source{}, nil); err == nil || !strings.Contains(err.Error(), "no token") {
		t.Errorf("without a token: got %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := ServeTCP(t.Context(), TCP{Address: l.Addr().String(), Token: token}, Source{}, nil); err == nil || strings.Contains(err.Error(), token) {
		t.Errorf("in use: got %v", err)
	}
}

// TestTCPInPlainText: everybody on the way could read the token.
func TestTCPInPlainText(t *testing.T) {
	for address, want := range map[string]bool{"0.0.0.0:0": true, "127.0.0.1:0": false} {
		var log bytes.Buffer
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := ServeTCP(ctx, TCP{Address: address, Token: token}, Source{}, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
			t.Errorf("%s: %v", address, err)
		}
		if got := strings.Contains(log.String(), "no TLS"); got != want {
			t.Errorf("%s: a warning is %t, want %t:\n%s", address, got, want, &log)
		}
	}
}

func TestProbes(t *testing.T) {
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "magne_up 1\n") })
	for _, tt := range []struct {
		src    Source
		path   string
		code   int
		answer string
	}{
		{Source{Tree: sampleTree}, "/livez", 200, `"ok"`},
		{Source{Tree: sampleTree}, "/readyz", 200, `"ok"`},
		{Source{Tree: sampleTree, Ready: func(context.Context) error { return nil }}, "/readyz", 200, `"ok"`},
		{unfitSource(), "/readyz", 503, "router:mail does not consume"},
		{unfitSource(), "/livez", 200, `"ok"`},
		{Source{Tree: sampleTree, Metrics: metrics}, "/metrics", 200, "magne_up 1"},
	} {
		w := httptest.NewRecorder()
		newHandler(t.Context(), tt.src).ServeHTTP(w, httptest.NewRequest("GET", tt.path, nil))
		if w.Code != tt.code || !strings.Contains(w.Body.String(), tt.answer) {
			t.Errorf("%s: got %d %s, want %d %s", tt.path, w.Code, w.Body, tt.code, tt.answer)
		}
	}
}
