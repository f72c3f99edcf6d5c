package engine_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/engine"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// Messages that stay long are copied when the log is compacted, and found again.
func TestCompaction(t *testing.T) {
	o := engine.Options{Dir: t.TempDir(), BodyMemory: -1, SegmentBytes: 16 << 10}
	e := open(t, o)
	c := connect(t, e)
	c.declare("old", wire.Table{"x-queue-type": "quorum"})
	c.declare("q", nil)
	c.publish("old", "a", "b", "c", "d")
	c.consume("old", "x")
	c.must(c.ch.Nack(1, false, true)) // comes again
	c.must(c.ch.Ack(2, false))
	d := connect(t, e)
	d.consume("q", "x")
	for tag := uint64(1); e.Stats().Copied == 0; tag++ {
		d.publish("q", string(make([]byte, 1000)))
		d.must(d.ch.Ack(tag, false))
		d.confirmed()
	}
	if n := e.Stats().Segments; n > 4 {
		t.Errorf("got %d segments, want few", n)
	}
	crashed := crash(t, o.Dir, o)
	c.close()
	c = connect(t, e)
	c.expectQueue("old", "a", "c", "d")
	c = connect(t, crashed)
	c.consume("old", "x")
	var got []string
	for _, d := range c.takeAll() {
		p, err := wire.ParseProperties(d.props)
		c.must(err)
		got = append(got, fmt.Sprint(d.Body, p.Headers["x-delivery-count"]))
	}
	if diff := cmp.Diff([]string{"a2", "c1", "d1"}, got); diff != "" {
		t.Error(diff)
	}
}

// The time of a message goes on while the broker is down.
func TestTTLAfterReopen(t *testing.T) {
	o := engine.Options{Dir: t.TempDir()}
	e := open(t, o)
	c := connect(t, e)
	c.declare("q", wire.Table{"x-message-ttl": int32(1), "x-expires": int32(60_000)})
	c.declare("r", nil)
	c.send("", "r", wire.Properties{DeliveryMode: wire.Persistent, Expiration: "1"}, "a")
	c.send("", "r", wire.Properties{DeliveryMode: wire.Persistent, Expiration: "60000"}, "b")
	c.send("", "r", persistent, "c")
	c.confirmed()
	c.must(e.Close())
	e = open(t, o)
	c = connect(t, e)
	c.expectQueue("r", "b", "c")
	if q := info(t, e, "q"); q.Args["x-expires"] != int32(60_000) {
		t.Errorf("got arguments %v", q.Args)
	}
}

// What cannot be read stays where it is, and is delivered when it can be read again.
func TestUnreadable(t *testing.T) {
	var log strings.Builder
	o := engine.Options{Dir: t.TempDir(), BodyMemory: -1, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	e := open(t, o)
	c := connect(t, e)
	c.declare("q", wire.Table{"x-dead-letter-exchange": "amq.fanout"})
	c.publish("q", "a", "b")
	c.confirmed()
	segments, err := filepath.Glob(filepath.Join(o.Dir, "*.seg"))
	if err != nil || len(segments) != 1 {
		t.Fatal(segments, err)
	}
	good, err := os.ReadFile(segments[0])
	c.must(err)
	c.must(os.WriteFile(segments[0], bytes.Repeat([]byte{0xff}, len(good)), 0o600))
	c.consume("q", "x")
	_, err = c.ch.Get("q", true, func(*engine.Delivery) {})
	refused(t, err, "541 Cannot get a message from queue 'q' in vhost '/'")
	c.expect()
	if n := strings.Count(log.String(), "cannot read a message"); n != 1 {
		t.Errorf("got %d lines about it, want 1:\n%s", n, log.String())
	}
	c.must(os.WriteFile(segments[0], good, 0o600))
	c.publish("q", "c")
	c.expect("a", "b", "c")
}
