package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/internal/testenv"
)

// onBoth runs a test with RabbitMQ and with the embedded broker.
func onBoth(t *testing.T, test func(t *testing.T, r *rabbit)) {
	t.Helper()
	t.Parallel()
	t.Run("RabbitMQ", func(t *testing.T) {
		t.Parallel()
		test(t, dial(t, testenv.SharedNode(t).URL))
	})
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		test(t, dial(t, startBroker(t).url))
	})
}

// row is what queue list and show print with -o json.
type row struct {
	Name             string
	Ready, Consumers int
	Unacked          *int
	Type             string
	Arguments        map[string]any
}

func decode[T any](t testing.TB, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// queue runs a queue command against the broker of r.
func queue(t testing.TB, r *rabbit, args ...string) result {
	t.Helper()
	return magne(t, nil, slices.Concat([]string{"queue", args[0], "--url", r.url}, args[1:])...)
}

func TestQueueList(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rabbit) {
		name := r.queue("")
		a := start(t, setup{url: r.url, pools: fmt.Sprintf("p: {queue: %s, tasks: {hello: {builtin: echo}}}", name)})
		magneIn(t, a.dir, nil, nil, "publish", "-c", a.config, "hello").want(t, 0)
		a.settled("p", 1)

		got := magneIn(t, a.dir, nil, nil, "queue", "list", "-c", a.config, "-o", "json").want(t, 0)
		for _, field := range []string{`"name"`, `"ready"`, `"unacked": null`, `"consumers"`} {
			if strings.Count(got.stdout, field) != 2 {
				t.Errorf("-o json has not twice %s: %s", field, got.stdout)
			}
		}
		rows := decode[[]row](t, got.stdout)
		if len(rows) != 2 || rows[0].Name != name || rows[0].Consumers != 1 || rows[1].Name != dead(name) || rows[1].Consumers != 0 {
			t.Errorf("queues of the pools: got %+v", rows)
		}
		a.stop()

		// Named ones; one that is missing does not hide the others.
		got = queue(t, r, "list", name, "no-such", "-o", "json").want(t, 1)
		if rows := decode[[]row](t, got.stdout); len(rows) != 1 || rows[0].Name != name || !strings.Contains(got.stderr, "no-such") {
			t.Errorf("got %+v\n%s", rows, got.stderr)
		}
		// Queues of pools that are not declared yet are no error.
		r.remove(name)
		got = magneIn(t, a.dir, nil, nil, "queue", "list", "-c", a.config, "-o", "json").want(t, 0)
		if got.stdout != "[]\n" || !strings.Contains(got.stderr, "not declared yet") {
			t.Errorf("got %s\n%s", got.stdout, got.stderr)
		}
		queue(t, r, "list").want(t, 2)
		if got := queue(t, r, "list", "--all").want(t, 2); !strings.Contains(got.stderr, "--management") {
			t.Errorf("--all without anybody to ask: %s", got.stderr)
		}
	})
}

// TestQueueUnacked: what AMQP cannot tell, the management API and the control
// socket can.
func TestQueueUnacked(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	e.hold()
	a := start(t, setup{pools: hook("work", e.url, "slots: 2")})
	publishNumbers(t, a, "hook", 0, 5)
	e.hasBegun(t, 2)
	for _, args := range [][]string{{"list", "work"}, {"list", "--all"}, {"list", "--all", "--socket", a.socket}} {
		got := magneIn(t, a.dir, nil, nil, slices.Concat([]string{"queue"}, args, []string{"-c", a.config, "-o", "json"})...).want(t, 0)
		rows := decode[[]row](t, got.stdout)
		work := rows[slices.IndexFunc(rows, func(r row) bool { return r.Name == "work" })]
		if work.Ready != 3 || work.Unacked == nil || *work.Unacked != 2 || work.Consumers != 1 {
			t.Errorf("%v: got %s", args, got.stdout)
		}
	}
	got := decode[row](t, magneIn(t, a.dir, nil, nil, "queue", "show", "work", "-c", a.config, "-o", "json").want(t, 0).stdout)
	if got.Type != "quorum" || got.Arguments["x-queue-type"] != "quorum" || got.Unacked == nil || *got.Unacked != 2 {
		t.Errorf("show: got %+v", got)
	}
	e.release()
	a.settled("p", 5)
	a.stop()

	r := dial(t, testenv.SharedNode(t).URL)
	name := r.queue("")
	r.plain(name, nil)
	young := r.queue(".young")
	r.plain(young, nil)
	r.task(young, "hello", 1)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		if user, _, _ := hr.BasicAuth(); user != "guest" || hr.URL.EscapedPath() != "/api/queues/%2F" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, `[{"name":%q,"messages_ready":99,"messages_unacknowledged":7,"consumers":9,"type":"classic"},{"name":%q},{"name":"gone"}]`, name, young)
	}))
	t.Cleanup(api.Close)
	rows := decode[[]row](t, queue(t, r, "list", name, "--management", api.URL, "-o", "json").want(t, 0).stdout)
	if len(rows) != 1 || rows[0].Ready != 0 || rows[0].Consumers != 0 || rows[0].Unacked == nil || *rows[0].Unacked != 7 {
		t.Errorf("with the management API: got %+v, want unacked from it and the rest by AMQP", rows)
	}
	rows = decode[[]row](t, queue(t, r, "list", "--all", "--management", api.URL, "-o", "json").want(t, 0).stdout)
	if len(rows) != 3 || rows[0].Ready != 99 || rows[1].Ready != 1 || rows[1].Unacked != nil {
		t.Errorf("--all: got %+v, want the counts of the API and by AMQP what it does not know yet", rows)
	}
	queue(t, r, "list", "--all", "--management", "http://u:p@127.0.0.1:1/").want(t, 3)
	queue(t, r, "list", "--all", "--management", strings.Replace(api.URL, "://", "://other:hunter2@", 1)).want(t, 3)
	queue(t, r, "list", "--all", "--management", "nonsense").want(t, 2)
}

func TestQueuePeek(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rabbit) {
		name := r.queue("")
		r.plain(name, nil)
		if got := queue(t, r, "peek", name).want(t, 0); !strings.Contains(got.stdout, "no message") {
			t.Errorf("empty: got %s", got.stdout)
		}
		for i := range 30 {
			r.publish(name, amqp091.Publishing{
				ContentType: "text/plain", MessageId: fmt.Sprint("id-", i), Headers: amqp091.Table{"n": int32(i)}, Body: fmt.Appendf(nil, "body %d", i),
			})
		}
		r.publish(name, amqp091.Publishing{Body: []byte("\xff\x00")})
		type message struct {
			MessageID   string `json:"message_id"`
			Redelivered bool
			Headers     map[string]any
			Body        *string
			Bytes       []byte `json:"body_base64"`
		}
		for round := range 3 {
			got := decode[[]message](t, queue(t, r, "peek", name, "-n", "20", "-o", "json").want(t, 0).stdout)
			if len(got) != 20 {
				t.Fatalf("messages: got %d, want 20", len(got))
			}
			for i, m := range got {
				if m.MessageID != fmt.Sprint("id-", i) || *m.Body != fmt.Sprint("body ", i) || m.Headers["n"] != float64(i) || m.Redelivered != (round > 0) {
					t.Fatalf("round %d, message %d: got %+v", round, i, m)
				}
			}
		}
		all := decode[[]message](t, queue(t, r, "peek", name, "-n", "100", "-o", "json").want(t, 0).stdout)
		if last := all[len(all)-1]; len(all) != 31 || last.Body != nil || string(last.Bytes) != "\xff\x00" {
			t.Errorf("got %d messages, the last %+v", len(all), last)
		}
		if got := queue(t, r, "peek", name, "-n", "31").want(t, 0).stdout; !strings.Contains(got, "body 29") || !strings.Contains(got, "2 bytes that are no text") {
			t.Errorf("text: got %s", got)
		}
		r.holds(name, 31)
		queue(t, r, "peek", name, "-n", "0").want(t, 2)
		queue(t, r, "peek", "no-such").want(t, 1)
	})
}

func TestQueuePurgeAndDelete(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rabbit) {
		type changed struct {
			Name     string
			Messages int
		}
		one, two := r.queue(".1"), r.queue(".2")
		for _, name := range []string{one, two} {
			r.plain(name, nil)
			for range 3 {
				r.task(name, "hello", 1)
			}
		}
		queue(t, r, "purge", one).want(t, 2)  // asks, and there is no terminal
		queue(t, r, "delete", one).want(t, 2) // the same
		r.holds(one, 3)
		got := queue(t, r, "purge", "--yes", one, "no-such", two, "-o", "json").want(t, 1)
		if done := decode[[]changed](t, got.stdout); !slices.Equal(done, []changed{{one, 3}}) {
			t.Errorf("purge: got %+v, want what was done before the mistake", done)
		}
		if got := queue(t, r, "delete", "--yes", "--if-empty", two).want(t, 1); !strings.Contains(got.stderr, "not empty") {
			t.Errorf("delete --if-empty: %s", got.stderr)
		}
		ch := r.channel()
		if _, err := ch.Consume(one, "", false, false, false, false, nil); err != nil {
			t.Fatal(err)
		}
		if got := queue(t, r, "delete", "--yes", "--if-unused", one).want(t, 1); !strings.Contains(got.stderr, "in use") {
			t.Errorf("delete --if-unused: %s", got.stderr)
		}
		got = queue(t, r, "delete", "-y", one, two, "-o", "json").want(t, 0)
		if done := decode[[]changed](t, got.stdout); !slices.Equal(done, []changed{{one, 0}, {two, 3}}) {
			t.Errorf("delete: got %+v", done)
		}
		queue(t, r, "delete", "-y", one).want(t, 1)
	})
}

// TestQueueLocked: a queue of another connection alone is no mistake of ours.
func TestQueueLocked(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rabbit) {
		name := testenv.Name(t)
		if _, err := r.ch.QueueDeclare(name, false, false, true, false, nil); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"list", name}, {"show", name}, {"peek", name}, {"purge", "-y", name}, {"delete", "-y", name}, {"declare", name}} {
			got := queue(t, r, args...).want(t, 1)
			if !strings.Contains(got.stderr, "locked") || !strings.Contains(got.stderr, "another connection") {
				t.Errorf("%s: stderr: %s", args[0], got.stderr)
			}
		}
	})
}

func TestQueueDeclare(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rabbit) {
		name := r.queue("")
		args := []string{
			name, "--type", "classic", "--durable=false", "--auto-delete", "--arg", "x-max-length=10", "--arg", "x-overflow=reject-publish",
			"--arg", `x-dead-letter-exchange=""`,
		}
		queue(t, r, slices.Concat([]string{"declare"}, args)...).want(t, 0)
		got := queue(t, r, slices.Concat([]string{"declare", "-o", "json"}, args)...).want(t, 0) // the same again
		if q := decode[row](t, got.stdout); q.Name != name || q.Ready != 0 {
			t.Errorf("got %+v", q)
		}
		ch := r.channel()
		if _, err := ch.QueueDeclare(name, false, true, false, false, amqp091.Table{
			"x-queue-type": "classic", "x-max-length": int32(10), "x-overflow": "reject-publish", "x-dead-letter-exchange": "",
		}); err != nil {
			t.Errorf("it is not as asked for: %v", err)
		}
		if got := queue(t, r, "declare", name).want(t, 1); !strings.Contains(got.stderr, "PRECONDITION_FAILED") {
			t.Errorf("otherwise: %s", got.stderr)
		}
		if got := queue(t, r, "declare", name+".x", "--arg", "x-max-length=-1").want(t, 1); !strings.Contains(got.stderr, "x-max-length") {
			t.Errorf("an argument that is none: %s", got.stderr)
		}
		queue(t, r, "declare", name, "--arg", "x-max-length").want(t, 2)
		queue(t, r, "declare", name, "--arg", "a=1", "--arg", "a=2").want(t, 2)
		queue(t, r, "declare", "amq.mine").want(t, 1)
	})
}

// TestQueueUnreachable: 3 with a hint, also when the broker is not reached in time.
func TestQueueUnreachable(t *testing.T) {
	t.Parallel()
	magne(t, nil, "queue", "list", "--url", "amqp://127.0.0.1:1/", "q").want(t, 3)
	magne(t, nil, "queue", "list", "--url", "http://h/", "q").want(t, 2)
	a := setup{pools: "p: {tasks: {hello: {builtin: echo}}}"}.write(t)
	if got := magne(t, nil, "queue", "list", "-c", a.config).want(t, 3); !strings.Contains(got.stderr, "magne-actors run") {
		t.Errorf("the embedded broker does not run: %s", got.stderr)
	}
	url := testenv.SharedNode(t).URL
	magne(t, nil, "queue", "list", "--url", url, "--timeout", "1ns", "q").want(t, 3)
	magne(t, nil, "queue", "list", "--url", wrongPassword(t, url, "wrong"), "q").want(t, 3)
}
