package engine_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/engine"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/store"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

var persistent = wire.Properties{DeliveryMode: wire.Persistent}

// crash returns an engine on a copy of a directory that is in use: what another
// process would find if this one ended now.
func crash(t *testing.T, dir string, o engine.Options) *engine.Engine {
	t.Helper()
	o.Dir = t.TempDir()
	if err := os.CopyFS(o.Dir, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return open(t, o)
}

// settled waits until all that came before is on disk: acknowledgements too are
// written with, or before, a message that follows them.
func settled(t testing.TB, e *engine.Engine, o *engine.Owner) {
	t.Helper()
	if _, err := e.DeclareQueue(o, engine.QueueSpec{Name: "settled", Durable: true}, false); err != nil {
		t.Fatal(err)
	}
	c := connect(t, e)
	c.publish("settled", "last")
	c.confirmed()
}

// confirmed waits until all that was published is confirmed.
func (c *client) confirmed() {
	c.t.Helper()
	c.await(func() bool { return len(c.confirms) == int(c.seq) })
	c.mu.Lock()
	defer c.mu.Unlock()
	for seq, ok := range c.confirms {
		if !ok {
			c.t.Errorf("message %d was refused", seq)
		}
	}
}

func TestReopen(t *testing.T) {
	for _, memory := range []int64{-1, 0} {
		for _, clean := range []bool{true, false} {
			t.Run(fmt.Sprintf("memory=%d,clean=%v", memory, clean), func(t *testing.T) { testReopen(t, memory, clean) })
		}
	}
}

func testReopen(t *testing.T, memory int64, clean bool) {
	o := engine.Options{Dir: t.TempDir(), BodyMemory: memory}
	e := open(t, o)
	c := connect(t, e)
	c.declare("q", wire.Table{"x-max-priority": int32(2)})
	c.declare("r", wire.Table{"x-queue-type": "quorum"})
	c.declareSpec(engine.QueueSpec{Name: "transient"})
	c.must(e.DeclareExchange(engine.ExchangeSpec{Name: "x", Type: "topic", Durable: true}, false))
	c.must(e.DeclareExchange(engine.ExchangeSpec{Name: "gone", Type: "topic", Durable: true}, false))
	c.must(e.BindQueue(c.owner, "q", "x", "#", nil))
	c.must(e.BindQueue(c.owner, "r", "x", "#", wire.Table{"a": int32(1)}))
	c.must(e.BindQueue(c.owner, "r", "gone", "#", nil))
	c.must(e.BindQueue(c.owner, "transient", "x", "#", nil))
	c.must(e.DeleteExchange("gone", false))
	for i := range 10 {
		c.send("x", "k", persistent, fmt.Sprint(i))
	}
	c.send("x", "k", wire.Properties{DeliveryMode: wire.Persistent, Priority: 1}, "first")
	c.send("x", "k", wire.Properties{}, "transient")
	c.ch.Qos(4, false)
	c.consume("r", "c")
	c.must(c.ch.Ack(2, false))
	c.must(c.ch.Nack(1, false, true))
	for range 3 {
		c.get("q")
	}
	c.confirmed()
	if clean {
		c.close()
		c.must(e.Close())
		e = open(t, o)
	} else {
		settled(t, e, c.owner)
		e = crash(t, o.Dir, o)
	}

	c = connect(t, e)
	c.expectQueue("q", "2", "3", "4", "5", "6", "7", "8", "9")
	c.consume("r", "c")
	var got []string
	for _, d := range c.takeAll() {
		p, err := wire.ParseProperties(d.props)
		c.must(err)
		got = append(got, fmt.Sprintf("%s %t %v %s %s", d.Body, d.Redelivered, p.Headers["x-delivery-count"], d.Exchange, d.Key))
	}
	// 0 was delivered twice and came back twice, 2, 3 and 4 once.
	want := []string{
		"0 true 2 x k", "2 true 1 x k", "3 true 1 x k", "4 true 1 x k", "5 false <nil> x k", "6 false <nil> x k",
		"7 false <nil> x k", "8 false <nil> x k", "9 false <nil> x k", "first false <nil> x k",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	_, err := e.DeclareQueue(c.owner, engine.QueueSpec{Name: "transient"}, true)
	refused(t, err, "404 no queue 'transient' in vhost '/'")
	refused(t, e.DeclareExchange(engine.ExchangeSpec{Name: "gone"}, true), "404 no exchange 'gone' in vhost '/'")
	c.send("x", "k", persistent, "new")
	c.expectQueue("q", "new")
	c.expect("new")
}

func TestNumbersAreNotReused(t *testing.T) {
	o := engine.Options{Dir: t.TempDir()}
	e := open(t, o)
	c := connect(t, e)
	c.declare("a", nil)
	c.publish("a", "old")
	c.declare("b", nil)
	c.publish("b", "old")
	c.confirmed()
	_, err := e.DeleteQueue(c.owner, "b", false, false)
	c.must(err)
	c.must(e.Close())
	e = open(t, o)
	c = connect(t, e)
	c.declare("b", nil)
	c.must(e.Close())
	c = connect(t, open(t, o))
	c.expectQueue("b")
	c.expectQueue("a", "old")
}

func TestFanOutIsStoredOnce(t *testing.T) {
	e := open(t, engine.Options{Dir: t.TempDir(), BodyMemory: -1})
	c := connect(t, e)
	names := []string{"c", "a", "b", "d", "e", "f"}
	for i, q := range names {
		c.declareSpec(engine.QueueSpec{Name: q, Durable: i != 3})
		c.must(e.BindQueue(c.owner, q, "amq.fanout", "", nil))
	}
	before := e.Stats().LogBytes
	c.send("amq.fanout", "", persistent, string(make([]byte, 10_000)))
	c.confirmed()
	if n := e.Stats().LogBytes - before; n < 10_000 || n > 11_000 {
		t.Errorf("got %d bytes in the log, want the body once", n)
	}
	for _, q := range names {
		if n := len(c.get(q)); n != 10_000 {
			t.Errorf("%s: got %d bytes, want 10000", q, n)
		}
	}
	if s := e.Stats(); s.MemoryBytes != 0 || s.TransientBytes != 0 {
		t.Errorf("got %d bytes in memory, %d transient, want none", s.MemoryBytes, s.TransientBytes)
	}
}

func TestBodyMemory(t *testing.T) {
	e := open(t, engine.Options{Dir: t.TempDir(), BodyMemory: 4000})
	c := connect(t, e)
	c.declare("q", nil)
	var want []string
	for i := range 20 {
		want = append(want, fmt.Sprintf("%01000d", i))
	}
	c.publish("q", want...)
	c.confirmed()
	if q := info(t, e, "q"); q.InMemory != 4 || q.Persistent != 20 || q.BodyBytes != 20_000 {
		t.Errorf("got %d in memory, %d on disk, %d bytes, want 4, 20 and 20000", q.InMemory, q.Persistent, q.BodyBytes)
	}
	c.consume("q", "x")
	c.must(c.ch.Nack(0, true, true))
	c.expect(slices.Concat(want, want)...)
	if n := e.Stats().MemoryBytes; n > 5000 {
		t.Errorf("got %d bytes in memory, want at most 4000 and one message", n)
	}
}

func TestFullDisk(t *testing.T) {
	var full atomic.Bool
	reasons := make(chan string, 10)
	e := open(t, engine.Options{
		Dir:       t.TempDir(),
		OnBlocked: func(reason string) { reasons <- reason },
		Fault: func(op store.Op, _ string) error {
			if full.Load() && (op == store.OpWrite || op == store.OpAllocate || op == store.OpCreate) {
				return syscall.ENOSPC
			}
			return nil
		},
	})
	c := connect(t, e)
	c.declare("q", nil)
	c.publish("q", "a", "b")
	c.confirmed()
	full.Store(true)
	var refusedSeq uint64
	for refusedSeq == 0 { // the reserve takes some
		seq := c.send("", "q", persistent, string(make([]byte, 1<<20)))
		c.await(func() bool {
			ok, known := c.confirms[seq]
			if known && !ok {
				refusedSeq = seq
			}
			return known
		})
	}
	if got := <-reasons; got != "low on disk" {
		t.Errorf("got %q, want low on disk", got)
	}
	_, err := e.DeclareQueue(c.owner, engine.QueueSpec{Name: "r", Durable: true}, false)
	refused(t, err, "506 cannot declare queue 'r' in vhost '/': no space left on disk")
	if got := c.get("q"); got != "a" {
		t.Errorf("got %q, want a", got)
	}
	full.Store(false)
	if got := <-reasons; got != "" {
		t.Errorf("got %q, want no more", got)
	}
	c.mu.Lock()
	clear(c.confirms)
	c.seq = 0
	c.mu.Unlock()
	c.publish("q", "new")
	c.confirmed()
}

func TestLowMemory(t *testing.T) {
	var reasons []string
	e := open(t, engine.Options{
		Limits:    engine.Limits{TransientBytes: 10_000},
		OnBlocked: func(reason string) { reasons = append(reasons, reason) },
	})
	c := connect(t, e)
	c.declare("q", nil)
	for range 10 {
		c.publish("q", string(make([]byte, 1000)))
	}
	if diff := cmp.Diff([]string{"low on memory"}, reasons); diff != "" {
		t.Error(diff)
	}
	c.get("q")
	c.get("q")
	if diff := cmp.Diff([]string{"low on memory", ""}, reasons); diff != "" {
		t.Error(diff)
	}
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	open(t, engine.Options{Dir: dir})
	_, err := engine.Open(engine.Options{Dir: dir})
	if _, ok := errors.AsType[*store.LockedError](err); !ok {
		t.Errorf("got %v, want a *store.LockedError", err)
	}
}

// A publisher who does not wait for confirms is held up by a slow disk.
func TestPace(t *testing.T) {
	slow := make(chan struct{})
	var hold atomic.Bool
	e := open(t, engine.Options{Dir: t.TempDir(), BodyMemory: -1, Fault: func(op store.Op, _ string) error {
		if op == store.OpSync && hold.Load() {
			<-slow
		}
		return nil
	}})
	c := connect(t, e)
	c.declare("q", nil)
	hold.Store(true)
	const n, size = 80, 1 << 20
	sent := make(chan struct{}, n)
	go func() {
		defer close(sent)
		for range n {
			if _, err := e.Publish(message(t, "", "q", persistent, string(make([]byte, size))), nil, 0, ""); err != nil {
				t.Error(err)
			}
			sent <- struct{}{}
		}
	}()
	got := 0
	for held := false; !held; {
		select {
		case <-sent:
			got++
		case <-time.After(time.Second):
			held = true
		}
	}
	if got < 30 || got > 70 {
		t.Errorf("got %d MiB taken while the disk stood still, want a little more than 32", got)
	}
	hold.Store(false)
	close(slow)
	for range sent {
	}
	if got := info(t, e, "q").Ready; got != n {
		t.Errorf("got %d messages, want %d", got, n)
	}
}
