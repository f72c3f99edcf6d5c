package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/internal/testenv"
	"github.com/magne-actors/magne-actors/supervisor"
)

// events are those of the instance, of a node and those below it, oldest first.
func (a *app) events(node string) []supervisor.Event {
	a.t.Helper()
	return decode[[]supervisor.Event](a.t, a.look(0, "events", node, "-o", "json"))
}

// of are the events of the types.
func of(all []supervisor.Event, types ...supervisor.EventType) []supervisor.Event {
	return slices.DeleteFunc(slices.Clone(all), func(e supervisor.Event) bool { return !slices.Contains(types, e.Type) })
}

const fragile = `bad:
  queue: bad
  on_panic: crash
  intensity: 2
  retry: {max_attempts: 5, initial: 1ms, max: 1ms}
  tasks: {poison: {builtin: fail}, fine: {builtin: echo}}
good:
  queue: good
  slots: 10
  tasks: {fine: {builtin: echo}}
`

// TestCrash: a handler that always panics, with on_panic: crash. Its worker is
// restarted with backoff until that was too often, its pool is parked with its
// messages in the queue, says why, and comes back when it is told to; and the other
// pool knows nothing of all this.
func TestCrash(t *testing.T) {
	t.Parallel()
	a := start(t, setup{pools: fragile, panics: true})
	b := dial(t, "amqp://guest:guest@"+a.listen+"/")
	b.task("good", "fine", 0)
	a.settled("good", 1)
	root, _ := a.tree()
	before := find(root, "router:good")

	a.publishTo("bad", 1, "poison", "boom", "panic")
	a.until("bad is parked", func(root *supervisor.Node, code int) bool {
		n := find(root, "pool:bad")
		return code == 2 && n.State == "failed" && n.Detail == "parked" && strings.Contains(n.LastError, "boom")
	})
	a.untilNode("router:bad", "suspended, with nothing in flight", func(n *supervisor.Node) bool {
		return n.State == "suspended" && number(n.InFlight) == 0
	})
	b.holds("bad", 1) // with three attempts counted
	a.publishTo("bad", 10, "fine")
	b.holds("bad", 11)

	// What happened: two restarts, each after a wait that is longer than the last.
	crashes := a.events("bad/1")
	if failed := of(crashes, supervisor.EventFailed); len(failed) != 3 || !strings.Contains(failed[2].Error, "boom") {
		t.Errorf("crashes: %+v, want 3", failed)
	}
	waits := of(crashes, supervisor.EventBackoff)
	if len(waits) != 2 || waits[0].Delay < 50*time.Millisecond || waits[1].Delay <= waits[0].Delay {
		t.Errorf("waits before restarts: %+v, want 2 that grow", waits)
	}
	if n := len(of(a.events("pool:bad"), supervisor.EventParked)); n != 1 {
		t.Errorf("parked %d times, want once: %+v", n, a.events("pool:bad"))
	}
	if late := of(a.events("pool:good"), supervisor.EventFailed, supervisor.EventEnded); len(late) > 0 {
		t.Errorf("the other pool: %+v", late)
	}

	a.shownAsParked(t)
	for i := range 20 {
		b.task("good", "fine", i)
	}
	a.settled("good", 21)
	root, _ = a.tree()
	if after := find(root, "router:good"); !after.Since.Equal(*before.Since) || number(after.Restarts) != 0 || number(root.Restarts) != 0 {
		t.Errorf("the other pool was touched: %+v", after)
	}

	// Two attempts are left to the poison, and its pool bears two crashes.
	contains(t, a.look(0, "restart", "pool:bad"), "pool:bad is up")
	b.holds(dead("bad"), 1)
	b.holds("bad", 0)
	a.healthy()
	a.empty("bad")
	d := b.take(dead("bad"), 1)[0]
	if d.Headers["x-reason"] != "panic" || fmt.Sprint(d.Headers["x-attempt"]) != "5" {
		t.Errorf("the dead letter: %v", d.Headers)
	}
	a.stop()
}

// publishTo publishes a task n times to the queue of a pool.
func (a *app) publishTo(queue string, n int, words ...string) {
	a.t.Helper()
	args := append([]string{"publish", "-c", a.config, "--queue", queue, "-n", fmt.Sprint(n)}, words...)
	magneIn(a.t, a.dir, nil, nil, args...).want(a.t, 0)
}

// shownAsParked holds what an operator sees of the pool `bad` to what it is.
func (a *app) shownAsParked(t *testing.T) {
	t.Helper()
	tree := a.look(2, "tree")
	contains(t, tree, "FAILED", "boom", "parked", "suspended")
	contains(t, a.look(2, "status"), "FAILED", "bad")
	why := a.look(2, "why", "pool:bad")
	contains(t, why, "pool:bad is parked since", ": more than 2 restarts in 1m0s; last bad/1: panic: boom.",
		"Its siblings run on; `magne-actors restart pool:bad` starts it again.", "bad/1 3 times")
	contains(t, a.look(0, "why", "router:good"), "router:good")
	contains(t, a.look(2, "why", "root"), "pool:bad")
	t.Logf("%s\n%s", tree, why)
}

// TestEscalate: with on_exhausted: escalate the program ends with exit status 70,
// in good order: what was published is still in its queue, or dead-lettered.
func TestEscalate(t *testing.T) {
	t.Parallel()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		a := escalate(t, "", "bad", "good")
		alone := startBroker(t, "--dir", a.data())
		kept(t, dial(t, alone.url), "bad", "good")
		alone.stop()
		magne(t, nil, "broker", "fsck", a.data()).want(t, 0)
	})
	t.Run("RabbitMQ", func(t *testing.T) {
		t.Parallel()
		r := dial(t, testenv.RabbitMQ(t))
		bad, good := r.queue(".bad"), r.queue(".good")
		escalate(t, r.url, bad, good)
		kept(t, r, bad, good)
	})
}

const (
	poisons = 200 // in the bad queue
	guests  = 50  // in the good one
)

// escalate runs an instance until it has given up, while tasks run in its other pool.
func escalate(t *testing.T, url, bad, good string) *app {
	t.Helper()
	e := newEndpoint(t)
	e.hold()
	a := start(t, setup{
		url: url, panics: true,
		top: "supervision: {root: {intensity: 0}, pools: {intensity: 1}, defaults: {backoff: {initial: 10ms, max: 50ms}}}",
		pools: hook(good, e.url, "slots: 10\nwatermarks: {high: 30}") + fmt.Sprintf(`bad:
  queue: %s
  workers: 4
  slots: 5
  watermarks: {high: 60}
  on_panic: crash
  on_exhausted: escalate
  intensity: 3
  retry: {max_attempts: 3, initial: 1ms, max: 10ms}
  tasks: {poison: {builtin: fail}}
`, bad),
	})
	publishNumbers(t, a, "hook", 0, guests)
	e.hasBegun(t, 10)
	a.look(0, "pause", "bad") // or it would be over before all are published
	var b strings.Builder
	for i := range poisons {
		fmt.Fprintf(&b, "[\"%d\", \"panic\"]\n", i)
	}
	magneIn(t, a.dir, nil, strings.NewReader(b.String()), "publish", "-c", a.config, "--queue", bad, "--from", "-", "poison").want(t, 0)
	magneIn(t, a.dir, nil, nil, "resume", "bad", "--socket", a.socket) // it may hear no answer
	if code := a.wait(); code != 70 {
		t.Fatalf("exit code: got %d, want 70", code)
	}
	contains(t, a.stderr.String(), "supervisor gave up", "root gave up", "deliveries in flight return to their queues")
	if _, err := os.Stat(a.socket); err == nil {
		t.Error("the control socket is left behind")
	}
	return a
}

// kept holds that every message is there: those of the good queue once, and those of
// the bad one at least once, since a copy for the next attempt may have been confirmed
// just before the end, and its original not been acked.
func kept(t *testing.T, r *rabbit, bad, good string) {
	t.Helper()
	seen := map[string]int{}
	copies := 0
	eventually(t, "all poisoned messages", func() (bool, any) {
		for _, queue := range []string{bad, dead(bad)} {
			for _, d := range r.drain(queue) {
				seen[argument(t, d, 0)]++
				copies++
			}
		}
		return len(seen) == poisons, len(seen)
	})
	t.Logf("%d messages of %d twice", copies-len(seen), poisons)
	for _, d := range r.take(good, guests) {
		if key := argument(t, d, 0); seen["good "+key] > 0 {
			t.Errorf("message %s of the good queue is there twice", key)
		} else {
			seen["good "+key]++
		}
	}
	if n := r.ready(dead(good)); n != 0 {
		t.Errorf("%d messages of the good queue were dead-lettered", n)
	}
}

// drain removes what waits in a queue.
func (r *rabbit) drain(queue string) (all []amqp091.Delivery) {
	r.t.Helper()
	ch := r.channel()
	defer ch.Close()
	for {
		d, ok, err := ch.Get(queue, true)
		if err != nil {
			r.t.Fatalf("get from %q: %v", queue, err)
		}
		if !ok {
			return all
		}
		all = append(all, d)
	}
}

// argument is the n-th argument of a message of the json codec.
func argument(t testing.TB, d amqp091.Delivery, n int) string {
	t.Helper()
	var m struct{ Args []json.RawMessage }
	if err := json.Unmarshal(d.Body, &m); err != nil || len(m.Args) <= n {
		t.Fatalf("message %s: %v", d.Body, err)
	}
	return string(m.Args[n])
}
