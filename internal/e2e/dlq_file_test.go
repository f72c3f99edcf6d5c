package e2e_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp091 "github.com/rabbitmq/amqp091-go"
)

// odd are headers of every AMQP type, also below others. RabbitMQ takes no infinite
// number.
func odd() amqp091.Table {
	return amqp091.Table{
		"i8": int8(-8), "u8": byte(200), "i16": int16(-16), "u16": uint16(16), "i32": int32(-32), "u32": uint32(32), "i64": int64(math.MaxInt64),
		"f": float32(0.1), "d": math.MaxFloat64, "s": "text", "raw": "\xff\xfe", "b": []byte{0, 255}, "nil": nil, "yes": true,
		"dec": amqp091.Decimal{Scale: 2, Value: -314}, "t": time.Unix(1_700_000_000, 0),
		"deep": amqp091.Table{"list": []any{amqp091.Table{"k": []any{int16(1), "x"}}, nil}}, "int32": "a name",
	}
}

// TestDlqExportImport: what was exported and imported is the same, bytes and types.
func TestDlqExportImport(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rabbit) {
		queue, dir := r.grave(), t.TempDir()
		whole := amqp091.Publishing{
			MessageId: "whole", ContentType: "a/b", ContentEncoding: "gzip", CorrelationId: "c", ReplyTo: "r", Type: "t", AppId: "app", Priority: 3,
			DeliveryMode: amqp091.Persistent, Timestamp: time.Unix(1_700_000_000, 0), Headers: odd(), Body: []byte("\x00\xff\n"),
		}
		r.publish(dead(queue), whole)
		for i := range 20 {
			r.bury(queue, fmt.Sprint(i), []string{"timeout", "panic"}[i%2], "x", nil)
		}
		file := filepath.Join(dir, "out.jsonl")
		type exported struct{ Ready, Exported int }
		if got := decode[exported](t, dlqOf(t, r, "export", queue, file, "-o", "json").want(t, 0).stdout); got != (exported{21, 21}) {
			t.Errorf("got %+v", got)
		}
		r.holds(dead(queue), 21)
		if got := dlqOf(t, r, "export", queue, file).want(t, 1); !strings.Contains(got.stderr, "not overwritten") {
			t.Errorf("stderr: %s", got.stderr)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("file: %v, %v", info, err)
		}
		if got := dlqOf(t, r, "export", queue, "-", "--reason", "panic").want(t, 0); strings.Count(got.stdout, "\n") != 10 {
			t.Errorf("to standard output: %s", got.stdout)
		}
		dlqOf(t, r, "drop", queue, "--all", "--yes").want(t, 0)
		r.holds(dead(queue), 0)

		if got := magne(t, strings.NewReader("{\"v\":1,\"body\":\"\",\"headers\":{}}\n\n{]\n"), "dlq", "import", "--url", r.url, "-", "--to", dead(queue)).want(t, 2); !strings.Contains(got.stderr, "stdin:3:") {
			t.Errorf("a line that is none: %s", got.stderr)
		}
		r.holds(dead(queue), 0)
		type imported struct{ Lines, Imported, Failed int }
		if got := decode[imported](t, dlqOf(t, r, "import", file, "-o", "json").want(t, 0).stdout); got != (imported{21, 21, 0}) {
			t.Errorf("got %+v", got)
		}
		got := r.take(dead(queue), 21)[0]
		want := whole.Headers
		want["t"] = time.Unix(1_700_000_000, 0)
		delete(got.Headers, "x-delivery-count")
		if diff := cmp.Diff(want, got.Headers); diff != "" {
			t.Errorf("headers (-want +got):\n%s", diff)
		}
		if string(got.Body) != string(whole.Body) || got.MessageId != "whole" || got.ContentType != "a/b" || got.ContentEncoding != "gzip" || got.CorrelationId != "c" ||
			got.ReplyTo != "r" || got.Type != "t" || got.AppId != "app" || got.Priority != 3 || got.DeliveryMode != amqp091.Persistent || !got.Timestamp.Equal(whole.Timestamp) {
			t.Errorf("got %+v", got)
		}
		if got := dlqOf(t, r, "import", file, "--to", "no-such-queue").want(t, 1); !strings.Contains(got.stderr, "unroutable") {
			t.Errorf("unroutable: %s", got.stderr)
		}
		dlqOf(t, r, "import", filepath.Join(dir, "none")).want(t, 2)
		dlqOf(t, r, "export", "no-such", filepath.Join(dir, "x")).want(t, 1)
		if _, err := os.Stat(filepath.Join(dir, "x")); err == nil {
			t.Error("an export that failed has left a file")
		}
	})
}

// TestDlqEdit: one letter is another one then; what goes wrong changes nothing.
func TestDlqEdit(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rabbit) {
		queue := r.grave()
		for i := range 3 {
			r.bury(queue, fmt.Sprint("id-", i), "discarded", "no widht", amqp091.Table{"mine": int16(i)})
		}
		edit := func(editor string, code int, id string) result {
			t.Helper()
			return magneIn(t, t.TempDir(), []string{"VISUAL=", "EDITOR=" + editor, "TMPDIR=" + t.TempDir()}, nil,
				"dlq", "edit", "--url", r.url, queue, id, "-o", "json").want(t, code)
		}
		if got := edit("true", 0, "id-1"); !strings.Contains(got.stdout, `"changed": false`) {
			t.Errorf("nothing changed: %s", got.stdout)
		}
		edit("false", 1, "id-1")
		edit("true", 1, "no-such")
		if got := edit("echo {} >", 1, "id-1"); !strings.Contains(got.stderr, "your text is in") {
			t.Errorf("no letter any more: %s", got.stderr)
		}
		// Somebody else takes it while it is edited.
		if got := edit(fmt.Sprintf("%s dlq drop --url %s %s --id id-0 --yes && sed -i s/widht/width/", program(t), r.url, queue), 1, "id-0"); !strings.Contains(got.stderr, "no longer") {
			t.Errorf("it is gone: %s", got.stderr)
		}
		r.holds(dead(queue), 2)
		if got := edit(`sed -i -e s/widht/width/ -e 's/"args\\":\[1\]/"args\\":[2]/'`, 0, "id-1"); !strings.Contains(got.stdout, `"changed": true`) {
			t.Errorf("changed: %s", got.stdout)
		}
		r.holds(dead(queue), 2)
		byID := map[string]amqp091.Delivery{}
		for _, d := range r.take(dead(queue), 2) {
			byID[d.MessageId] = d
		}
		one, two := byID["id-1"], byID["id-2"]
		if one.Headers["x-error"] != "no width" || one.Headers["mine"] != int16(1) || !strings.Contains(string(one.Body), "[2]") || one.Headers["x-attempt"] != int64(3) {
			t.Errorf("edited: got %+v %s", one.Headers, one.Body)
		}
		if two.Headers["x-error"] != "no widht" || !strings.Contains(string(two.Body), "[1]") {
			t.Errorf("another one: got %+v %s", two.Headers, two.Body)
		}
	})
}
