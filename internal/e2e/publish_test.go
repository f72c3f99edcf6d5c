package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// report is what publish prints with -o json.
type report struct {
	Queue                                   string
	Confirmed, Unroutable, Refused, Unknown int
	Seconds                                 float64
	Due                                     *time.Time
}

func (r result) report(t testing.TB) report {
	t.Helper()
	var got report
	d := json.NewDecoder(strings.NewReader(r.stdout))
	d.DisallowUnknownFields()
	if err := d.Decode(&got); err != nil {
		t.Fatalf("publish -o json: %v\n%s", err, r.stdout)
	}
	if got.Seconds <= 0 {
		t.Errorf("seconds: got %v", got.Seconds)
	}
	got.Seconds = 0
	return got
}

// plain declares a durable queue that no pool knows.
func (r *rabbit) plain(queue string, args amqp091.Table) {
	r.t.Helper()
	ch := r.channel()
	defer ch.Close()
	if _, err := ch.QueueDeclare(queue, true, false, false, false, args); err != nil {
		r.t.Fatal(err)
	}
}

func TestPublishUnroutable(t *testing.T) {
	r, queue := begin(t)
	got := magne(t, nil, "publish", "--url", r.url, "--queue", queue, "-n", "3", "hello").want(t, 1)
	if !strings.Contains(got.stderr, "3 unroutable") {
		t.Errorf("stderr: %s", got.stderr)
	}
	got = magne(t, nil, "publish", "--url", r.url, "--queue", queue, "-n", "3", "-o", "json", "hello").want(t, 1)
	if got, want := got.report(t), (report{Queue: queue, Unroutable: 3}); got != want {
		t.Errorf("report: got %+v, want %+v", got, want)
	}
	// With a configuration, too: publish declares nothing.
	a := setup{url: r.url, pools: fmt.Sprintf("p: {queue: %s, tasks: {hello: {builtin: echo}}}", queue)}.write(t)
	magneIn(t, a.dir, nil, nil, "publish", "-c", a.config, "hello").want(t, 1)
}

func TestPublishMany(t *testing.T) {
	r, queue := begin(t)
	r.plain(queue, nil)
	got := magne(t, nil, "publish", "--url", r.url, "--queue", queue, "-n", "1000", "-o", "json", "hello", "1", "word", `{"a": [2]}`).want(t, 0)
	if got, want := got.report(t), (report{Queue: queue, Confirmed: 1000}); got != want {
		t.Errorf("report: got %+v, want %+v", got, want)
	}
	ids := map[string]bool{}
	for _, d := range r.take(queue, 1000) {
		var m struct {
			Task, ID string
			Args     json.RawMessage
		}
		if err := json.Unmarshal(d.Body, &m); err != nil {
			t.Fatal(err)
		}
		if m.Task != "hello" || string(m.Args) != `[1,"word",{"a":[2]}]` || d.MessageId != m.ID || d.DeliveryMode != amqp091.Persistent {
			t.Fatalf("message %s, id %q, mode %d", d.Body, d.MessageId, d.DeliveryMode)
		}
		ids[m.ID] = true
	}
	if len(ids) != 1000 {
		t.Errorf("different ids: got %d, want 1000", len(ids))
	}
}

func TestPublishFrom(t *testing.T) {
	r, queue := begin(t)
	r.plain(queue, nil)
	file := filepath.Join(t.TempDir(), "args.jsonl")
	if err := os.WriteFile(file, []byte("[1, \"a\"]\n\n[]\n[{\"k\": null}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	magne(t, nil, "publish", "--url", r.url, "--queue", queue, "--from", file, "hello").want(t, 0)
	var args []string
	for _, d := range r.take(queue, 3) {
		var m struct{ Args json.RawMessage }
		if err := json.Unmarshal(d.Body, &m); err != nil {
			t.Fatal(err)
		}
		args = append(args, string(m.Args))
	}
	if want := []string{`[1, "a"]`, `[]`, `[{"k": null}]`}; !slices.Equal(args, want) {
		t.Errorf("arguments: got %q, want %q", args, want)
	}

	got := magne(t, numbers(0, 500), "publish", "--url", r.url, "--queue", queue, "--from", "-", "-o", "json", "hello").want(t, 0)
	if got, want := got.report(t), (report{Queue: queue, Confirmed: 500}); got != want {
		t.Errorf("report: got %+v, want %+v", got, want)
	}
	r.take(queue, 500)

	// What stands before a bad line is published, and the line is named.
	bad := magne(t, strings.NewReader("[1]\n[2]\n{\"no\": \"array\"}\n[4]\n"), "publish", "--url", r.url, "--queue", queue, "--from", "-", "hello").want(t, 2)
	if !strings.Contains(bad.stderr, "stdin:3: not a JSON array") {
		t.Errorf("stderr: %s", bad.stderr)
	}
	r.take(queue, 2)
}

// TestPublishRefused: a queue that takes no more is worth another try.
func TestPublishRefused(t *testing.T) {
	r, queue := begin(t)
	r.plain(queue, amqp091.Table{"x-max-length": int32(2), "x-overflow": "reject-publish"})
	got := magne(t, nil, "publish", "--url", r.url, "--queue", queue, "-n", "5", "-o", "json", "hello").want(t, 75)
	if got, want := got.report(t), (report{Queue: queue, Confirmed: 2, Refused: 3}); got != want {
		t.Errorf("report: got %+v, want %+v", got, want)
	}
	r.take(queue, 2)
}

// TestPublishMagne: the magne codec needs no --queue, and publishes to the
// exchange that magne's consumers bind.
func TestPublishMagne(t *testing.T) {
	t.Parallel()
	r, queue := beginNamed(t, "E2E_PUBLISH_MAGNE")
	a := start(t, setup{url: r.url, pools: fmt.Sprintf("p: {queue: %s, codec: magne, tasks: {e2e_publish_magne: {builtin: echo}}}", queue)})
	magne(t, nil, "publish", "--url", r.url, "--codec", "magne", "-n", "7", "e2e_publish_magne").want(t, 0)
	a.settled("p", 7)
	if n := r.ready(dead(queue)); n != 0 {
		t.Errorf("dead letters: %d", n)
	}
	a.stop()
}

// TestPublishInterrupted: the count that is reported is what is in the queue.
func TestPublishInterrupted(t *testing.T) {
	for _, source := range []string{"number", "stdin"} {
		t.Run(source, func(t *testing.T) {
			r, queue := begin(t)
			r.plain(queue, nil)
			args := []string{"publish", "--url", r.url, "--queue", queue, "-o", "json"}
			var stdin io.Reader
			if source == "number" {
				args = append(args, "-n", "100000000", "hello")
			} else {
				in, out, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { in.Close(); out.Close() })
				if _, err := numbers(0, 100).WriteTo(out); err != nil { // and then nothing more, and no end
					t.Fatal(err)
				}
				stdin, args = in, append(args, "--from", "-", "hello")
			}
			p := spawn(t, t.TempDir(), nil, stdin, args...)
			eventually(t, "100 messages in the queue", func() (bool, any) {
				p.running()
				n := r.ready(queue)
				return n >= 100, n
			})
			p.signal(syscall.SIGINT)
			if code := p.wait(); code != 1 {
				t.Errorf("exit code: got %d, want 1\n%s", code, p.stderr.tail())
			}
			got := result{p.code, p.stdout.String(), p.stderr.String()}.report(t)
			if got.Confirmed < 100 || got != (report{Queue: queue, Confirmed: got.Confirmed}) {
				t.Errorf("report: got %+v, want at least 100 confirmed and nothing else", got)
			}
			said := regexp.MustCompile(`interrupted after (\d+)`).FindStringSubmatch(p.stderr.String())
			if len(said) != 2 || said[1] != strconv.Itoa(got.Confirmed) {
				t.Errorf("stderr: %s, want: interrupted after %d", p.stderr.tail(), got.Confirmed)
			}
			r.holds(queue, got.Confirmed)
		})
	}
}

// TestPublishUnreachable: no broker is 3, and a wrong password is 3.
func TestPublishUnreachable(t *testing.T) {
	r, queue := begin(t)
	magne(t, nil, "publish", "--url", "amqp://127.0.0.1:1/", "--queue", queue, "hello").want(t, 3)
	magne(t, nil, "publish", "--url", wrongPassword(t, r.url, "nonsense"), "--queue", queue, "hello").want(t, 3)
	magne(t, nil, "publish", "--url", strings.TrimSuffix(r.url, "/")+"/no-such-vhost", "--queue", queue, "hello").want(t, 3)
}
