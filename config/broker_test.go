package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/broker/embedded"
	"github.com/magne-actors/magne-actors/config"
)

func TestParseBroker(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"nothing but the version", "version: 1", ""},
		{"url leads to it", "version: 1\nbroker: {url: \"amqp://u:hunter2@127.0.0.1/\", embedded: {fsync: 1s}}\npools: {p: {tasks: {t: {builtin: echo}}}}", ""},
		{"url and no users", "version: 1\nbroker: {url: \"amqp://h/\", embedded: {listen: \":1\"}}", "there are no users"},
		{"a mistake elsewhere", "version: 1\npools: {p: {workers: x}}", "pools.p.workers"},
	} {
		f, err := config.ParseBroker(strings.NewReader(tt.text), "b.yaml", nil)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
		if !f.Broker.IsEmbedded() {
			t.Errorf("%s: the broker is at %s", tt.name, f.Broker.Address())
		}
	}
}

// Every key of broker.embedded has its option, and the defaults are those of the
// package.
func TestEmbeddedOptions(t *testing.T) {
	parse := func(text string) *config.File {
		t.Helper()
		f, err := config.ParseBroker(strings.NewReader("version: 1\nbroker: {embedded: {"+text+"}}"), "b.yaml", nil)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	const hash = "$2b$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"
	got := parse("dir: d, fsync: 5ms, consumer_timeout: 1h, heartbeat: 30s, body_memory: 1GiB, users: {Bob: '" + hash + "'}," +
		"limits: {connections: 1, channels: 2, consumers: 3, queues: 4, frame: 5KiB, message: 6, transient: 7MiB, buffer: 8KiB}").EmbeddedOptions(nil)
	want := embedded.Options{
		Dir: "d", Fsync: 5 * time.Millisecond, ConsumerTimeout: time.Hour, Heartbeat: 30 * time.Second, BodyMemory: 1 << 30,
		Users: map[string]embedded.Hash{"Bob": hash},
		Limits: embedded.Limits{
			Connections: 1, Channels: 2, Consumers: 3, Queues: 4, FrameBytes: 5 << 10, MessageBytes: 6, TransientBytes: 7 << 20, BufferBytes: 8 << 10,
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(embedded.Options{}, "Faults")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	off := parse("consumer_timeout: 0s, heartbeat: 0s, body_memory: 0").EmbeddedOptions(nil)
	if off.ConsumerTimeout >= 0 || off.Heartbeat >= 0 || off.BodyMemory >= 0 || off.Users != nil {
		t.Errorf("switched off: got %+v", off)
	}
}

func TestClientURL(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:5672": "amqp://guest:guest@127.0.0.1:5672/",
		"localhost:1":    "amqp://guest:guest@localhost:1/",
		":5672":          "amqp://guest:guest@127.0.0.1:5672/",
		"0.0.0.0:5672":   "amqp://guest:guest@127.0.0.1:5672/",
		"[::]:5672":      "amqp://guest:guest@[::1]:5672/",
		"10.0.0.1:5672":  "amqp://guest:guest@10.0.0.1:5672/",
	} {
		if got := (&config.Embedded{Listen: listen}).ClientURL(); got != want {
			t.Errorf("%s: got %s, want %s", listen, got, want)
		}
	}
	f, err := config.Parse(strings.NewReader("version: 1\npools: {p: {tasks: {t: {builtin: echo}}}}"), "m.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := amqp.Dialer{URL: "amqp://guest:guest@127.0.0.1:5672/", Product: config.EmbeddedProduct, Heartbeat: 10 * time.Second}
	got, err := f.AMQP(nil)
	if err != nil || got.URL != want.URL || got.Product != want.Product || got.Heartbeat != want.Heartbeat || got.TLS != nil {
		t.Errorf("dialer: got %s as %q, TLS %v, %v", got.URL, got.Product, got.TLS, err)
	}
}
