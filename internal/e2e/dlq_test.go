package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// deadLetter is what dlq show prints with -o json.
type deadLetter struct {
	ID, Group, Task, Reason, Error string
	Attempts, Replays              int
	Queue, Worker                  string
	FirstReason                    string `json:"first_reason"`
	Deaths                         []struct {
		Queue, Reason string
		Count         int
	} `json:"x_death"`
	Bytes   int `json:"body_bytes"`
	Message struct {
		Headers map[string]any
		Body    *string
	}
}

// deadGroup is what dlq groups prints with -o json.
type deadGroup struct {
	Group, Reason, Task, Error, Example string
	Count                               int
	First                               *time.Time `json:"first_seen"`
	Last                                *time.Time `json:"last_seen"`
}

// dlqOf runs a dlq command against the broker of r.
func dlqOf(t testing.TB, r *rabbit, args ...string) result {
	t.Helper()
	return magne(t, nil, slices.Concat([]string{"dlq", args[0], "--url", r.url}, args[1:])...)
}

// grave declares a queue with its queue of dead letters, as run does.
func (r *rabbit) grave() (queue string) {
	r.t.Helper()
	queue = r.queue("")
	r.plain(queue, nil)
	r.plain(dead(queue), amqp091.Table{"x-queue-type": "quorum"})
	return queue
}

// bury publishes a dead letter as a worker does.
func (r *rabbit) bury(queue, id, reason, message string, more amqp091.Table) {
	r.t.Helper()
	headers := amqp091.Table{
		"x-attempt": int64(3), "x-reason": reason, "x-error": message, "x-queue": queue, "x-node": "host", "x-first-seen": "2026-11-01T10:00:00Z",
	}
	maps.Copy(headers, more)
	r.publish(dead(queue), amqp091.Publishing{
		MessageId: id, Type: "resize", ContentType: "application/json", DeliveryMode: amqp091.Persistent, Headers: headers,
		Body: fmt.Appendf(nil, `{"task":"resize","id":%q,"args":[1]}`, id),
	})
}

// TestDlqList: what run has buried, from the configuration.
func TestDlqList(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rabbit) {
		name := r.queue("")
		a := start(t, setup{url: r.url, pools: fmt.Sprintf("p: {queue: %s, tasks: {hello: {builtin: echo}}}\nq: {queue: %s.q, tasks: {hello: {builtin: echo}}}", name, name)})
		t.Cleanup(func() { r.remove(name + ".q") })
		for _, task := range []string{"nope", "nope", "other"} {
			magneIn(t, a.dir, nil, nil, "publish", "-c", a.config, "--queue", name, task).want(t, 0)
		}
		a.settled("p", 3)
		a.stop()
		list := func(args ...string) []map[string]any {
			got := magneIn(t, a.dir, nil, nil, slices.Concat([]string{"dlq", "list", "-c", a.config, "-o", "json"}, args)...).want(t, 0)
			return decode[[]map[string]any](t, got.stdout)
		}
		rows := list()
		if len(rows) != 2 || rows[0]["pool"] != "p" || rows[0]["queue"] != name || rows[0]["name"] != dead(name) ||
			rows[0]["ready"] != 3.0 || rows[0]["groups"] != 2.0 || rows[0]["oldest"] == nil || rows[1]["ready"] != 0.0 || rows[1]["oldest"] != nil {
			t.Errorf("got %v", rows)
		}
		if rows := list("--limit", "2"); rows[0]["ready"] != 3.0 || rows[0]["groups"] != nil || rows[0]["oldest"] != nil {
			t.Errorf("more than --limit: got %v", rows)
		}
		if text := magneIn(t, a.dir, nil, nil, "dlq", "list", "-c", a.config).want(t, 0).stdout; !strings.Contains(text, dead(name)) {
			t.Errorf("text: %s", text)
		}
		// A pool, its queue and the queue of dead letters mean the same.
		for _, arg := range []string{"p", name, dead(name)} {
			got := magneIn(t, a.dir, nil, nil, "dlq", "groups", arg, "-c", a.config, "-o", "json").want(t, 0)
			groups := decode[[]deadGroup](t, got.stdout)
			if len(groups) != 2 || groups[0].Count != 2 || groups[0].Task != "nope" || groups[0].Reason != "unknown_task" || groups[0].First == nil {
				t.Errorf("groups %s: got %+v", arg, groups)
			}
		}
		if got := magneIn(t, a.dir, nil, nil, "dlq", "groups", "no-such", "-c", a.config).want(t, 2); !strings.Contains(got.stderr, "p, q") {
			t.Errorf("no such pool: %s", got.stderr)
		}
		r.remove(name + ".q")
		if rows := list(); len(rows) != 1 {
			t.Errorf("a queue that is not declared: got %v", rows)
		}
		dlqOf(t, r, "list").want(t, 2)
		dlqOf(t, r, "groups", "no-such").want(t, 1)
		dlqOf(t, r, "groups", name, "--limit", "0").want(t, 2)
	})
}

// TestDlqShow: every header, of a worker and of RabbitMQ, and odd ones; and the
// queue is as before.
func TestDlqShow(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rabbit) {
		queue := r.grave()
		for i := range 40 { // more than a quorum queue takes back at once
			r.bury(queue, fmt.Sprint("id-", i), "max_attempts", fmt.Sprintf("dial tcp 10.0.0.%d:5432: connection refused", i), amqp091.Table{
				"x-first-seen": time.Date(2026, 11, 1, 0, i, 0, 0, time.UTC).Format(time.RFC3339),
			})
		}
		r.bury(queue, "odd", "worker_lost", "killed", amqp091.Table{
			"x-magne-lost": int64(3), "x-autopsy": "signal: killed\nlast \x1b[31mwords", "x-replays": int32(1), "x-first-reason": "timeout",
			"deep": amqp091.Table{"a": []any{amqp091.Table{"b": int8(1)}}}, "bytes": []byte{0xff}, "x-error": int32(7),
		})
		r.publish(dead(queue), amqp091.Publishing{Body: []byte("\xff\x00"), Headers: amqp091.Table{
			"x-death": []any{amqp091.Table{
				"queue": queue, "reason": "delivery_limit", "count": int64(2), "exchange": "", "routing-keys": []any{queue}, "time": time.Unix(1_795_000_000, 0),
			}, "no table"},
		}})

		for range 2 { // the order stays
			all := decode[[]deadLetter](t, dlqOf(t, r, "show", queue, "-n", "100", "-o", "json").want(t, 0).stdout)
			if len(all) != 42 {
				t.Fatalf("letters: got %d, want 42", len(all))
			}
			for i, l := range all[:40] {
				if l.ID != fmt.Sprint("id-", i) || l.Reason != "max_attempts" || l.Attempts != 3 || l.Worker != "host" || l.Queue != queue || l.Task != "resize" || l.Group != all[0].Group {
					t.Fatalf("letter %d: got %+v", i, l)
				}
			}
			if odd := all[40]; odd.ID != "odd" || odd.Error != "" || odd.Replays != 1 || odd.FirstReason != "timeout" || odd.Message.Headers["deep"] == nil {
				t.Errorf("odd headers: got %+v", odd)
			}
			last := all[41]
			if last.Reason != "delivery_limit" || last.Queue != queue || len(last.Deaths) != 1 || last.Deaths[0].Count != 2 || !strings.HasPrefix(last.ID, "sha:") || last.Message.Body != nil {
				t.Errorf("of RabbitMQ: got %+v", last)
			}
		}
		groups := decode[[]deadGroup](t, dlqOf(t, r, "groups", queue, "-o", "json").want(t, 0).stdout)
		if len(groups) != 3 || groups[0].Count != 40 || groups[0].Error != "dial tcp <n>.<n>.<n>.<n>:<n>: connection refused" || groups[0].Example != "id-0" ||
			groups[0].Last.Sub(*groups[0].First) != 39*time.Minute {
			t.Errorf("groups: got %+v", groups)
		}
		text := dlqOf(t, r, "show", queue, "odd").want(t, 0).stdout
		for _, want := range []string{"odd: reason worker_lost", "died under it: 3", "signal: killed", `\x1b[31mwords`, "first reason was timeout", `{"task":"resize"`} {
			if !strings.Contains(text, want) {
				t.Errorf("text has no %q:\n%s", want, text)
			}
		}
		if strings.Contains(text, "\x1b") {
			t.Errorf("a terminal would take that for commands: %q", text)
		}
		short := decode[[]deadLetter](t, dlqOf(t, r, "show", queue, "--group", groups[0].Group, "-n", "1", "--body", "5", "-o", "json").want(t, 0).stdout)
		if len(short) != 1 || *short[0].Message.Body != `{"tas` || short[0].Bytes < 20 {
			t.Errorf("bounded: got %+v", short)
		}
		if got := dlqOf(t, r, "show", queue, "--before", "2026-11-01T00:05:00Z", "-o", "json").want(t, 0); len(decode[[]json.RawMessage](t, got.stdout)) != 5 {
			t.Errorf("--before: got %s", got.stdout)
		}
		if got := dlqOf(t, r, "show", queue, "--limit", "3").want(t, 0); !strings.Contains(got.stderr, "3 of 42") {
			t.Errorf("--limit: stderr %s", got.stderr)
		}
		dlqOf(t, r, "show", queue, "no-such-id").want(t, 1)
		dlqOf(t, r, "show", queue, "--before", "noon").want(t, 2)
		dlqOf(t, r, "show", queue, "-n", "0").want(t, 2)
		r.holds(dead(queue), 42)
	})
}
