package e2e_test

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/internal/testenv"
)

// The secrets of the tests below: nothing that is written may contain them,
// percent-encoded or not.
const (
	brokerSecret = "hun@ter2/s3cret"
	httpSecret   = "w4lrus:pass"
	headerSecret = "token-0ystermann"
)

// noSecret fails the test when text has a secret.
func noSecret(t *testing.T, what, text string) {
	t.Helper()
	for _, secret := range []string{brokerSecret, httpSecret, headerSecret} {
		for _, form := range []string{secret, url.PathEscape(secret), url.QueryEscape(secret), url.UserPassword("", secret).String()} {
			if strings.Contains(text, form) {
				t.Errorf("%s: contains %q:\n%s", what, form, text)
			}
		}
	}
	// A part would be enough to be sorry about.
	for _, part := range []string{"ter2", "s3cret", "w4lrus", "0ystermann"} {
		if strings.Contains(text, part) {
			t.Errorf("%s: contains %q", what, part)
		}
	}
}

// withSecret is the URL of a broker at the host of base with the secret password.
func withSecret(t *testing.T, base, user string) string {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal("the URL of the test broker is no URL")
	}
	u.User = url.UserPassword(user, brokerSecret)
	return u.String()
}

// secretPool has secrets in a handler, too: nobody listens on port 1.
func secretPool(queue string) string {
	at := "http://" + url.UserPassword("me", httpSecret).String() + "@127.0.0.1:1/{task}"
	return fmt.Sprintf("p:\n  queue: %s\n  retry: {max_attempts: 2, initial: 20ms}\n  tasks: {hook: {http: {url: %q, headers: {X-Token: %q}}}}\n", queue, at, headerSecret)
}

// publishes are all forms of publish.
func publishes(a *app, brokerURL, queue string) [][]string {
	return [][]string{
		{"publish", "-c", a.config, "hook"},
		{"publish", "-c", a.config, "-o", "json", "hook"},
		{"publish", "--url", brokerURL, "--queue", queue, "hook"},
	}
}

// everyCommand runs what has to do with an instance, and publish in the given
// forms, and looks for secrets in what they write.
func everyCommand(t *testing.T, a *app, brokerURL string, publishes [][]string) {
	t.Helper()
	for _, args := range append([][]string{
		{"check", "-c", a.config},
		{"check", "-c", a.config, "-o", "json"},
		{"tree", "-c", a.config},
		{"tree", "--socket", a.socket, "-o", "json"},
		{"publish", "--url", brokerURL, "hook"},
		{"publish", "--url", brokerURL, "--codec", "none", "hook"},
	}, publishes...) {
		r := magneIn(t, a.dir, nil, nil, args...)
		noSecret(t, args[0], r.stdout+r.stderr)
	}
	if status, err := (control.Client{Socket: a.socket}).Status(t.Context()); err == nil {
		noSecret(t, "status", fmt.Sprintf("%+v", status))
	}
}

// TestSecretsWork: a password that is right, in an instance that works.
func TestSecretsWork(t *testing.T) {
	t.Parallel()
	node := testenv.SharedNode(t)
	r := dial(t, node.URL)
	queue := r.queue("")
	const user = "e2e-secret"
	ctl := func(args ...string) {
		t.Helper()
		if _, err := node.Ctl(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = node.Ctl(t.Context(), "delete_user", user) // of a run before, with -count
	ctl("add_user", user, brokerSecret)
	ctl("set_permissions", user, ".*", ".*", ".*")
	at := withSecret(t, node.URL, user)
	a := start(t, setup{url: at, pools: secretPool(queue), args: []string{"--log-level", "debug"}})
	everyCommand(t, a, at, publishes(a, at, queue))
	noSecret(t, "run", magneIn(t, a.dir, nil, nil, "run", "-c", a.config).want(t, 1).stderr) // the socket is in use
	r.task(queue, "hook", 1)
	letters := r.take(dead(queue), 4) // and the three that were published
	for _, d := range letters {
		noSecret(t, "dead letter", fmt.Sprint(d.Headers, d.Type, d.AppId, string(d.Body)))
	}
	a.signal(syscall.SIGQUIT)
	a.wait()
	noSecret(t, "run", a.stderr.String()+a.stdout.String())
	if !strings.Contains(a.stderr.String(), "goroutine 1") {
		t.Error("no dump")
	}
}

// TestSecretsInErrors: passwords that are wrong, brokers that are not there, and
// URLs that are none.
func TestSecretsInErrors(t *testing.T) {
	r, queue := begin(t)
	for name, at := range map[string]string{
		"wrong password": withSecret(t, r.url, "guest"),
		"no broker":      withSecret(t, "amqp://127.0.0.1:1/", "guest"),
		"no host":        withSecret(t, "amqp://no-such-host.invalid/", "guest"),
		"no vhost":       withSecret(t, strings.TrimSuffix(r.url, "/")+"/nowhere", "guest"),
		"scheme":         withSecret(t, "http://127.0.0.1/", "guest"),
		"no URL":         "amqp://guest:" + brokerSecret + "%zz@127.0.0.1/",
		"port":           "amqp://guest:" + url.PathEscape(brokerSecret) + "@127.0.0.1:port/",
		"at sign":        "amqp://guest:" + strings.ReplaceAll(brokerSecret, "/", "%2F") + "@127.0.0.1:1/",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := launch(t, setup{url: at, pools: secretPool(queue), args: []string{"--log-level", "debug"}})
			forms := publishes(a, at, queue)
			if name == "wrong password" || name == "no vhost" {
				forms = forms[2:] // RabbitMQ takes seconds to refuse
			}
			switch name {
			case "no broker", "no host", "at sign":
				a.until("connecting", broken)
			default:
				if code := a.wait(); code != 2 && code != 3 {
					t.Errorf("run: exit code %d", code)
				}
			}
			everyCommand(t, a, at, forms)
			_ = a.cmd.Process.Signal(syscall.SIGTERM) // most have ended
			a.wait()
			noSecret(t, "run", a.stderr.String()+a.stdout.String())
			if a.stderr.String() == "" {
				t.Error("run says nothing")
			}
		})
	}
}

// TestSecretFile: a secret in a file stays there.
func TestSecretFile(t *testing.T) {
	r, queue := begin(t)
	s := setup{url: "file:secret.txt", pools: secretPool(queue), args: []string{"--log-level", "debug"}}
	a := s.write(t)
	if err := os.WriteFile(a.dir+"/secret.txt", []byte(withSecret(t, r.url, "guest")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a.again(t, s)
	if code := a.wait(); code != 3 { // it was read: the broker has refused it
		t.Errorf("exit code: got %d, want 3", code)
	}
	noSecret(t, "run", a.stderr.String()+a.stdout.String())
}
