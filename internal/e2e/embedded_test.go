package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/internal/testenv"
	"github.com/magne-actors/magne-actors/supervisor"
)

// quick starts the quick start on an address and in directories of its own.
func quick(t *testing.T) (a *app, s setup) {
	t.Helper()
	a = setup{}.write(t)
	config, err := filepath.Abs("../../examples/quickstart/magne.yaml")
	if err != nil {
		t.Fatal(err)
	}
	a.config = config
	s.env = []string{"MAGNE_CONTROL_SOCKET=" + a.socket, "MAGNE_BROKER_EMBEDDED_LISTEN=" + a.listen, "MAGNE_BROKER_EMBEDDED_DIR=" + a.data()}
	a.again(t, s)
	a.healthy()
	return a, s
}

// TestEmbedded is the quick start of the README.
func TestEmbedded(t *testing.T) {
	t.Parallel()
	a, s := quick(t)
	magneIn(t, a.dir, s.env, nil, "publish", "-c", a.config, "-n", "1000", "hello", "world").want(t, 0)
	a.settled("work", 1000)
	a.untilNode("broker:embedded", "up", func(n *supervisor.Node) bool { return n.Kind == "broker" && n.State == "up" })
	var status struct {
		Dir       string
		Published int
		Blocked   string
		Queues    []struct{ Name string }
	}
	out := magneIn(t, a.dir, s.env, nil, "broker", "status", "-c", a.config, "-o", "json").want(t, 0).stdout
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		t.Fatal(err)
	}
	if status.Dir != a.data() || status.Published < 1000 || status.Blocked != "" || len(status.Queues) != 2 {
		t.Errorf("broker status: got %+v", status)
	}
	a.stop()
	magne(t, nil, "broker", "fsck", a.data()).want(t, 0)
	magneIn(t, a.dir, s.env, nil, "publish", "-c", a.config, "hello").want(t, 3)
}

// TestEmbeddedRestart: what was confirmed and not done is done by the next start,
// however the first one ended; and after a warm stop nothing twice.
func TestEmbeddedRestart(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			const published, slots = 500, 20
			e := newEndpoint(t)
			e.hold()
			s := setup{pools: hook("work", e.url, fmt.Sprintf("slots: %d", slots))}
			a := start(t, s)
			publishNumbers(t, a, "hook", 0, published)
			e.hasBegun(t, slots)
			a.signal(sig)
			if sig == syscall.SIGKILL {
				a.wait()
				e.release()
			} else {
				e.release()
				if code := a.wait(); code != 0 {
					t.Fatalf("exit code: got %d, want 0", code)
				}
			}
			before := len(e.doneRuns())
			if before >= published {
				t.Fatalf("all tasks were done before the end: the test shows nothing")
			}
			a.again(t, s)
			eventually(t, "every task is done", func() (bool, any) {
				a.running()
				n := len(e.doneRuns())
				return n == published, n
			})
			if sig == syscall.SIGTERM {
				for key, n := range e.begunRuns() {
					if n != 1 {
						t.Errorf("task %s: run %d times, want once", key, n)
					}
				}
			}
			a.stop()
		})
	}
}

// TestEmbeddedTaken: the address or the directory is another's. The message says
// whose, and what to do.
func TestEmbeddedTaken(t *testing.T) {
	t.Parallel()
	s := setup{pools: "p: {tasks: {hello: {builtin: echo}}}"}
	first := start(t, s)

	second := s.write(t)
	env := []string{"MAGNE_BROKER_EMBEDDED_DIR=" + first.data()}
	r := magneIn(t, second.dir, env, nil, "run", "-c", second.config).want(t, 1)
	if want := fmt.Sprintf("process %d has this directory open", first.cmd.Process.Pid); !strings.Contains(r.stderr, want) {
		t.Errorf("stderr: %s, want %q", r.stderr, want)
	}
	r = magne(t, nil, "broker", "fsck", first.data()).want(t, 1)
	if want := fmt.Sprint(first.cmd.Process.Pid); !strings.Contains(r.stderr, want) {
		t.Errorf("fsck: stderr: %s, want %q", r.stderr, want)
	}

	l, err := net.Listen("tcp", second.listen)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r = magneIn(t, second.dir, nil, nil, "run", "-c", second.config).want(t, 1)
	for _, want := range []string{second.listen, "broker.url", "broker.embedded.listen"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("stderr: %s, want %q", r.stderr, want)
		}
	}
	if _, err := os.Lstat(second.socket); err == nil {
		t.Error("the control socket is left behind")
	}
	first.stop()
}

// TestEmbeddedIsNotRabbitMQ: what the configuration means is not what happens to
// listen there.
func TestEmbeddedIsNotRabbitMQ(t *testing.T) {
	t.Parallel()
	_, rest, _ := strings.Cut(testenv.SharedNode(t).URL, "@")
	a := setup{pools: "p: {tasks: {hello: {builtin: echo}}}"}.write(t)
	env := []string{"MAGNE_BROKER_EMBEDDED_LISTEN=" + strings.TrimSuffix(rest, "/")}
	for _, args := range [][]string{{"publish", "-c", a.config, "hello"}, {"queue", "list", "-c", a.config}} {
		r := magneIn(t, a.dir, env, nil, args...).want(t, 3)
		if !strings.Contains(r.stderr, `"RabbitMQ"`) || !strings.Contains(r.stderr, "broker.url") {
			t.Errorf("%s: stderr: %s", args[0], r.stderr)
		}
	}
}

// TestEmbeddedUsers: with users of its own it can listen to all, and guest is
// nobody outside.
func TestEmbeddedUsers(t *testing.T) {
	t.Parallel()
	hash := strings.TrimSpace(magne(t, strings.NewReader("hunter2\n"), "broker", "hash-password").want(t, 0).stdout)
	a := setup{pools: "p: {tasks: {hello: {builtin: echo}}}"}.write(t)
	env := []string{"MAGNE_BROKER_EMBEDDED_LISTEN=" + strings.Replace(a.listen, "127.0.0.1", "0.0.0.0", 1)}
	r := magneIn(t, a.dir, env, nil, "run", "-c", a.config).want(t, 2)
	if !strings.Contains(r.stderr, "hash-password") {
		t.Errorf("without users: stderr: %s", r.stderr)
	}

	text, err := os.ReadFile(a.config)
	if err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.Replace(string(text), "embedded: {", "embedded: {users: {alice: '"+hash+"'}, ", 1))
	if err := os.WriteFile(a.config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	a.again(t, setup{env: env})
	a.healthy()
	r = magneIn(t, a.dir, env, nil, "publish", "-c", a.config, "hello").want(t, 3)
	if !strings.Contains(r.stderr, "MAGNE_BROKER_URL=") {
		t.Errorf("as guest: stderr: %s", r.stderr)
	}
	who := "MAGNE_BROKER_URL=amqp://alice:hunter2@" + a.listen + "/"
	magneIn(t, a.dir, []string{who}, nil, "publish", "-c", a.config, "hello").want(t, 0)
	a.settled("p", 1)
	if strings.Contains(a.stderr.String(), "hunter2") {
		t.Error("the password is in the log")
	}
	a.stop()
}

// TestFirstTask measures how long a start takes until the first task is done. It
// has no limit: a busy machine is no fault.
func TestFirstTask(t *testing.T) {
	e := newEndpoint(t)
	done := make(chan time.Time, 1)
	e.answer = func(http.ResponseWriter, *request) { done <- time.Now() }
	s := setup{pools: hook("work", e.url, "")}
	a := start(t, s)
	a.stop() // the queue is there
	var took []time.Duration
	for i := range 5 {
		alone := startBroker(t, "--dir", a.data())
		magne(t, nil, "publish", "--url", alone.url, "--queue", "work", "hook", fmt.Sprint(i)).want(t, 0)
		alone.stop()
		began := time.Now()
		a.again(t, s)
		select {
		case at := <-done:
			took = append(took, at.Sub(began).Round(time.Millisecond))
		case <-time.After(patience):
			t.Fatal("no task is done")
		}
		a.healthy()
		a.stop()
	}
	t.Logf("from run to the first task done: %v", took)
}

// TestEmbeddedTLS: publish trusts the very certificate that the configuration
// names, and others must know its authority.
func TestEmbeddedTLS(t *testing.T) {
	t.Parallel()
	a := setup{pools: "p: {tasks: {hello: {builtin: echo}}}"}.write(t)
	cert, key := filepath.Join(a.dir, "cert.pem"), filepath.Join(a.dir, "key.pem")
	selfSigned(t, cert, key)
	env := []string{"MAGNE_BROKER_EMBEDDED_TLS_CERT_FILE=" + cert, "MAGNE_BROKER_EMBEDDED_TLS_KEY_FILE=" + key}
	a.again(t, setup{env: env})
	a.healthy()
	magneIn(t, a.dir, env, nil, "publish", "-c", a.config, "hello").want(t, 0)
	a.settled("p", 1)
	magne(t, nil, "publish", "--url", "amqps://guest:guest@"+a.listen+"/", "--queue", "p", "hello").want(t, 3)
	magne(t, nil, "queue", "list", "--url", "amqps://guest:guest@localhost"+a.listen[strings.LastIndexByte(a.listen, ':'):]+"/?cacertfile="+cert, "p").want(t, 0)
	magne(t, nil, "queue", "list", "--url", "amqp://guest:guest@"+a.listen+"/", "p").want(t, 3)
	a.stop()
}

// selfSigned writes a certificate for localhost and its key.
func selfSigned(t *testing.T, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
