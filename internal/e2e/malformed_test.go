package e2e_test

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/supervisor"
)

// bad is a message that cannot be done. Its name is its message id.
type bad struct {
	name   string
	body   string // NAME stands for the key of the task's name: task, or func
	reason string // in x-reason; "" is decode
	json   bool   // only bad for the json codec
	more   func(p *amqp091.Publishing)
}

// header sets a header.
func header(name string, value any) func(*amqp091.Publishing) {
	return func(p *amqp091.Publishing) {
		if p.Headers == nil {
			p.Headers = amqp091.Table{}
		}
		p.Headers[name] = value
	}
}

// xDeath looks like what RabbitMQ adds to a message that it dead-letters.
func xDeath(queue string) []any {
	return []any{amqp091.Table{
		"queue": queue, "reason": "rejected", "count": int64(3), "exchange": "", "routing-keys": []any{queue},
		"time": time.Unix(1_700_000_000, 0),
	}}
}

const hookBody = `{"NAME":"hook","args":["never"]}`

// badBodies are bodies of which no task can be made.
func badBodies() []bad {
	deep := func(open, end string, n int) string { return strings.Repeat(open, n) + strings.Repeat(end, n) }
	var utf16Body []byte
	for _, u := range utf16.Encode([]rune(hookBody)) {
		utf16Body = append(utf16Body, byte(u), byte(u>>8))
	}
	return []bad{
		{name: "empty"},
		{name: "blank", body: " \t\r\n"},
		{name: "text", body: "hello world"},
		{name: "truncated", body: `{"NAME":"hook","args":["nev`},
		{name: "trailing", body: hookBody + "x"},
		{name: "two objects", body: hookBody + hookBody},
		{name: "array", body: "[" + hookBody + "]"},
		{name: "string", body: `"hook"`},
		{name: "number", body: "42"},
		{name: "null", body: "null"},
		{name: "no name", body: `{"args":[]}`},
		{name: "name null", body: `{"NAME":null,"args":[]}`},
		{name: "name number", body: `{"NAME":123456789012345678901234567890,"args":[]}`},
		{name: "name array", body: `{"NAME":["hook"],"args":[]}`},
		{name: "name empty", body: `{"NAME":"","args":[]}`},
		{name: "name path", body: `{"NAME":"../../etc/passwd","args":[]}`},
		{name: "name long", body: `{"NAME":"` + strings.Repeat("a", 10_000) + `"}`},
		{name: "name newline", body: `{"NAME":"hook\nhook"}`},
		{name: "name surrogate", body: `{"NAME":"\ud800"}`},
		{name: "name twice", body: `{"NAME":"hook","NAME":"other"}`},
		{name: "args twice", body: `{"NAME":"hook","args":["never"],"args":[2]}`},
		{name: "other case", body: `{"NAME":"hook","ARGS":["never"]}`},
		{name: "args object", body: `{"NAME":"hook","args":{"a":1}}`},
		{name: "args string", body: `{"NAME":"hook","args":"never"}`},
		{name: "args null", body: `{"NAME":"hook","args":null}`},
		{name: "kwargs array", body: `{"NAME":"hook","kwargs":[]}`, json: true},
		{name: "id number", body: `{"NAME":"hook","id":7}`, json: true},
		{name: "headers number", body: `{"NAME":"hook","headers":{"retries":3}}`, json: true},
		{name: "deep arrays", body: `{"NAME":"hook","args":[` + deep("[", "]", 10_000) + `]}`},
		{name: "deep objects", body: `{"NAME":"hook","args":[` + deep(`{"a":`, "}", 10_000) + `]}`},
		{name: "deep and open", body: strings.Repeat("[", 500_000)},
		{name: "NUL", body: "\x00\x00\x00\x00"},
		{name: "NUL at the end", body: hookBody + "\x00"},
		{name: "NUL in a string", body: "{\"NAME\":\"hook\",\"args\":[\"a\x00b\"]}"},
		{name: "not UTF-8", body: "{\"NAME\":\"hook\",\"args\":[\"\xff\xfe\"]}"},
		{name: "BOM", body: "\ufeff" + hookBody},
		{name: "UTF-16", body: string(utf16Body)},
		{name: "pickle", body: "\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00]\x94K\x01a."},
		{name: "gzip", body: "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", more: func(p *amqp091.Publishing) { p.ContentEncoding = "gzip" }},
		{name: "20 MiB", body: `{"NAME":"hook","args":["` + strings.Repeat("x", 20<<20) + `"]}`, reason: "oversize"},
		{name: "unknown", body: `{"NAME":"no_such_task","args":[]}`, reason: "unknown_task"},
		{name: "huge number", body: `{"NAME":"nap","args":[1e999]}`, reason: "discarded"},
		{name: "long number", body: `{"NAME":"nap","args":[` + strings.Repeat("9", 100_000) + `]}`, reason: "discarded"},
		{name: "too many arguments", body: `{"NAME":"nap","args":[0,0,0]}`, reason: "discarded"},
	}
}

// badProperties are messages whose properties make it hard to get rid of them.
func badProperties() []bad {
	long := strings.Repeat("p", 255)
	return []bad{
		{name: "content type", body: hookBody, json: true, more: func(p *amqp091.Publishing) { p.ContentType = "application/x-python-serialize" }},
		{name: "content type not one", body: hookBody, json: true, more: func(p *amqp091.Publishing) { p.ContentType = ";;;\xff" }},
		{name: "x-death", body: "x", more: func(p *amqp091.Publishing) {
			header("x-death", xDeath("other"))(p)
			header("x-first-death-queue", "other")(p)
		}},
		{name: "array header", body: "x", more: header("list", []any{int32(1), "two", []any{[]any{}}, amqp091.Table{"a": []any{nil, true}}})},
		{name: "attempt array", body: "x", more: header("x-attempt", []any{int32(1)})},
		{name: "attempts used up", body: `{"NAME":"boom","args":[]}`, reason: "max_attempts", more: header("x-attempt", int64(math.MaxInt64))},
		{name: "headers of ours", body: "x", more: func(p *amqp091.Publishing) {
			for _, h := range []string{"x-reason", "x-error", "x-queue", "x-node", "x-first-seen"} {
				header(h, []any{"forged"})(p)
			}
		}},
		{name: "CC", body: "x", more: header("CC", []any{"nowhere"})},
		{name: "many headers", body: "x", more: func(p *amqp091.Publishing) {
			for i := range 5000 {
				header(fmt.Sprintf("h%d", i), int32(i))(p)
			}
		}},
		{name: "binary header", body: "x", more: header("\xff\x00", "\xff\x00\xfe")},
		{name: "properties", body: "x", more: func(p *amqp091.Publishing) {
			p.CorrelationId, p.ReplyTo, p.Type, p.AppId, p.ContentEncoding = long, long, long, long, long
			p.Priority, p.Expiration, p.UserId = 255, "600000", "guest"
			p.Timestamp = time.Unix(math.MaxInt32, 0)
		}},
	}
}

// oddHeaders are on messages that are good all the same.
func oddHeaders(queue string) []amqp091.Table {
	return []amqp091.Table{
		nil,
		{"x-death": xDeath(queue), "x-delivery-count": int64(99)},
		{"x-attempt": "abc"},
		{"x-attempt": int64(-5)},
		{"list": []any{[]any{[]any{}}, amqp091.Table{}}, "nothing": nil, "when": time.Unix(0, 0), "bytes": []byte{0, 255}},
		{"small": int8(-1), "short": int16(-1), "float": float32(1), "price": amqp091.Decimal{Scale: 2, Value: 199}},
	}
}

// TestMalformed: bad messages between good ones end as dead letters with a
// reason, once each, and the good ones are done.
func TestMalformed(t *testing.T) {
	r, _ := begin(t)
	e := newEndpoint(t)
	type pool struct{ name, codec, mode, queue string }
	var pools []pool
	var yaml strings.Builder
	for _, codec := range []string{"json", "magne"} {
		for _, mode := range []string{"coroutine", "thread"} {
			p := pool{name: codec + "-" + mode, codec: codec, mode: mode}
			p.queue = r.queue("." + p.name)
			pools = append(pools, p)
			fmt.Fprintf(&yaml, "%s:\n  queue: %s\n  codec: %s\n  mode: %s\n  workers: 4\n  watermarks: {high: 20}\n  tasks: {hook: {http: {url: %q}}, nap: {builtin: sleep}, boom: {builtin: fail}}\n",
				p.name, p.queue, codec, mode, e.url)
		}
	}
	a := start(t, setup{url: r.url, pools: yaml.String()})
	for _, p := range pools {
		t.Run(p.name, func(t *testing.T) { malformed(t, a, r, e, p.queue, p.codec, p.name) })
	}
	a.healthy()
	a.stop()
}

func malformed(t *testing.T, a *app, r *rabbit, e *endpoint, queue, codec, pool string) {
	t.Helper()
	all := slices.Concat(badBodies(), badProperties())
	all = slices.DeleteFunc(all, func(b bad) bool { return b.json && codec != "json" })
	if len(all) < 20 {
		t.Fatalf("only %d bad messages", len(all))
	}
	nameKey := map[string]string{"json": "task", "magne": "func"}[codec]
	odd := oddHeaders(queue)
	bodies := map[string][]byte{}
	for i, b := range all {
		p := amqp091.Publishing{MessageId: b.name, Body: []byte(strings.ReplaceAll(b.body, "NAME", nameKey))}
		if b.more != nil {
			b.more(&p)
		}
		bodies[b.name] = p.Body
		r.publish(queue, p)
		r.publish(queue, amqp091.Publishing{Headers: odd[i%len(odd)], Body: fmt.Appendf(nil, `{%q:"hook","args":["%s/%d"]}`, nameKey, pool, i)})
	}
	a.settled(pool, 2*len(all))
	done := e.doneRuns()
	for i := range all {
		if n := done[fmt.Sprintf(`"%s/%d"`, pool, i)]; n != 1 {
			t.Errorf("good message %d: run %d times, want once", i, n)
		}
	}
	if n := done[`"never"`]; n != 0 {
		t.Errorf("a bad message was run")
	}
	letters := map[string]amqp091.Delivery{}
	for _, d := range r.take(dead(queue), len(all)) {
		letters[d.MessageId] = d
	}
	for _, b := range all {
		d, ok := letters[b.name]
		if !ok {
			t.Errorf("%s: not in the dead-letter queue", b.name)
			continue
		}
		want := b.reason
		if want == "" {
			want = "decode"
		}
		text, _ := d.Headers["x-error"].(string)
		if d.Headers["x-reason"] != want || text == "" || len(text) > 512 || d.Headers["x-queue"] != queue {
			t.Errorf("%s: reason %v, want %s; error %q, queue %v", b.name, d.Headers["x-reason"], want, text, d.Headers["x-queue"])
		}
		if !bytes.Equal(d.Body, bodies[b.name]) {
			t.Errorf("%s: the body has changed: %d bytes, want %d", b.name, len(d.Body), len(bodies[b.name]))
		}
	}
	if n := r.ready(queue); n != 0 {
		t.Errorf("left in the queue: %d", n)
	}
	a.untilNode("router:"+pool, "no error, no restart", func(n *supervisor.Node) bool {
		return n.LastError == "" && number(n.Restarts) == 0 && n.State == "consuming"
	})
}

// TestLargeHeaders: headers that leave no room for ours must not keep a bad
// message from the dead-letter queue, nor a failed one from its next attempt.
func TestLargeHeaders(t *testing.T) {
	r, queue := begin(t)
	a := start(t, setup{url: r.url, pools: "p:\n  queue: " + queue + "\n  retry: {max_attempts: 2, initial: 20ms}\n  tasks: {boom: {builtin: fail}}\n"})
	large := amqp091.Table{"blob": strings.Repeat("h", 120<<10)}
	r.publish(queue, amqp091.Publishing{MessageId: "bad", Headers: large, Body: []byte("x")})
	r.publish(queue, amqp091.Publishing{MessageId: "fails", Headers: large, Body: []byte(`{"task":"boom"}`)})
	reasons := map[string]any{}
	for _, d := range r.take(dead(queue), 2) {
		reasons[d.MessageId] = d.Headers["x-reason"]
	}
	if reasons["bad"] != "decode" || reasons["fails"] != "max_attempts" {
		t.Errorf("reasons: %v", reasons)
	}
	a.empty("p")
	a.stop()
}
