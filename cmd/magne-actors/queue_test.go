package main

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/magne-actors/magne-actors/broker"
)

func TestQueueArguments(t *testing.T) {
	got, err := queueArguments("quorum", []string{
		"n=1000", "neg=-1", "f=1.5", "yes=true", "word=reject-publish", `text="1000"`, "empty=", "eq=a=b", `list=[1,"a"]`, `object={"k":2}`, "null=null",
		"large=9007199254740993",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"x-queue-type": "quorum", "n": int64(1000), "neg": int64(-1), "f": 1.5, "yes": true, "word": "reject-publish", "text": "1000", "empty": "",
		"eq": "a=b", "list": []any{int64(1), "a"}, "object": map[string]any{"k": int64(2)}, "null": "null", "large": int64(9007199254740993),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, given := range [][]string{{"n"}, {"=1"}, {"n=1", "n=2"}, {"n=1e999"}} {
		if got, err := queueArguments("", given); err == nil {
			t.Errorf("%q: got %v, want an error", given, got)
		}
	}
}

// TestPeekedText: whatever a message contains, a terminal is shown text only.
func TestPeekedText(t *testing.T) {
	d := &broker.Delivery{RoutingKey: "k\x1b[2J", Exchange: "e", Body: []byte("a\x1b[31m\nb"), Redelivered: true}
	d.MessageID, d.Timestamp = "id\r", time.Unix(0, 0)
	d.Headers = map[string]any{"nan": math.NaN(), "x\n": "\x1b", "deep": []any{float32(math.Inf(1)), map[string]any{"k": math.NaN()}}}
	p := show(d)
	var b strings.Builder
	p.write(&b, 1)
	const want = `1: key "k\x1b[2J", exchange e, id "id\r", 1970-01-01T00:00:00Z, redelivered
   deep: ["+Inf",{"k":"NaN"}]
   nan: "NaN"
   "x\n": "\u001b"
   "a\x1b[31m\nb"
`
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
	binary := show(&broker.Delivery{Body: []byte{0xff}})
	if binary.Body != nil || string(binary.BodyBytes) != "\xff" {
		t.Errorf("bytes: got %+v", binary)
	}
	empty := show(&broker.Delivery{})
	if empty.Body == nil || *empty.Body != "" || empty.Timestamp != nil || empty.Headers != nil {
		t.Errorf("nothing: got %+v", empty)
	}
}

func TestQueueText(t *testing.T) {
	d := queueDetails{Name: "q", Ready: new(1), Consumers: new(0)}
	if got := d.text(); !strings.Contains(got, "AMQP cannot tell") || strings.Contains(got, "durable") {
		t.Errorf("what is not known: got %s", got)
	}
	d.Unacked, d.Durable, d.Arguments = new(0), new(false), map[string]any{"x-max-length": 5.0}
	for _, want := range []string{"unacked       0\n", "durable       false\n", "x-max-length  5\n"} {
		if got := d.text(); !strings.Contains(got, want) {
			t.Errorf("got %s, want %q", got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536 << 20: "1.5 GiB", math.MaxInt64: "8388608.0 TiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d bytes: got %s, want %s", n, got, want)
		}
	}
}
