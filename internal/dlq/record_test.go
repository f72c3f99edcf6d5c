package dlq_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/dlq"
)

// TestRecord: what is written is read back equal, from one line and from many.
func TestRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := deliveries().Draw(t, "letter")
		if rapid.Bool().Draw(t, "dated") {
			want.Timestamp = time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "at"), 0).UTC()
		}
		delete(want.Headers, "x-delivery-count") // of the queue
		for name, encode := range map[string]func(*broker.Delivery) ([]byte, error){"line": dlq.Encode, "text": dlq.EncodeText} {
			text, err := encode(want)
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(text, []byte("\n")); name == "line" && n != 1 {
				t.Fatalf("%d lines: %s", n, text)
			}
			got, err := dlq.Decode(text)
			if err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%s:\n%s\n-want +got:\n%s", name, text, diff)
			}
		}
	})
}

func TestRecordForm(t *testing.T) {
	d := &broker.Delivery{Queue: "q", Body: []byte("<b>")}
	d.MessageID, d.ContentType, d.Headers = "id", "\xff", map[string]any{"n": int32(1), "x-delivery-count": int64(5)}
	text, err := dlq.Encode(d)
	want := `{"v":1,"queue":"q","content_type":"base64:/w==","message_id":"id","persistent":false,"headers":{"n":{"int32":1}},"body_base64":"PGI+"}` + "\n"
	if err != nil || string(text) != want {
		t.Errorf("got %s, %v\nwant %s", text, err, want)
	}
	if d.Headers["x-delivery-count"] == nil {
		t.Error("the message was changed")
	}
	for _, bad := range []string{
		"", "{}", `[]`, `{"v":2,"body":""}`, `{"v":1}`, `{"v":1,"body":"","body_base64":""}`, `{"v":1,"body":"","more":1}`, `{"v":1,"body":""} {}`,
		`{"v":1,"body_base64":"!"}`, `{"v":1,"body":"","headers":{"a":{"int9":1}}}`, `{"v":1,"body":"","type":"base64:!"}`, `{"v":1,"body":"","priority":256}`,
	} {
		if got, err := dlq.Decode([]byte(bad)); err == nil {
			t.Errorf("%s: got %+v", bad, got)
		}
	}
}
