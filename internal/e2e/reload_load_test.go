package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/internal/testenv"
	"github.com/magne-actors/magne-actors/supervisor"
)

// feed publishes numbered tasks at a steady rate to some queues in turn, until it is
// stopped.
type feed struct {
	stop chan struct{}
	done chan struct{} // closed when all that was published is confirmed
	sent int           // to each queue; read it after done
	err  error
}

// feedEach is how often a feed sends, and feedSize how many to each queue then:
// 1,000 a second to two queues.
const (
	feedEach = 10 * time.Millisecond
	feedSize = 5
)

func (r *rabbit) feed(queues ...string) *feed {
	r.t.Helper()
	ch := r.channel()
	if err := ch.Confirm(false); err != nil {
		r.t.Fatal(err)
	}
	f := &feed{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(f.done)
		tick := time.NewTicker(feedEach)
		defer tick.Stop()
		var confirms []*amqp091.DeferredConfirmation
		for f.err == nil {
			select {
			case <-f.stop:
				f.err = confirmed(confirms)
				return
			case <-tick.C:
			}
			for range feedSize {
				for _, queue := range queues {
					c, err := ch.PublishWithDeferredConfirm("", queue, true, false, amqp091.Publishing{
						ContentType: "application/json", DeliveryMode: amqp091.Persistent,
						Body: fmt.Appendf(nil, `{"task":"hook","args":[%d]}`, f.sent),
					})
					confirms, f.err = append(confirms, c), err
				}
				f.sent++
			}
		}
	}()
	return f
}

func confirmed(all []*amqp091.DeferredConfirmation) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, c := range all {
		if ok, err := c.WaitContext(ctx); err != nil || !ok {
			return fmt.Errorf("a message was not confirmed: %w", err)
		}
	}
	return nil
}

// end stops the feed and returns how many each queue was sent.
func (f *feed) end(t *testing.T) int {
	t.Helper()
	close(f.stop)
	<-f.done
	if f.err != nil {
		t.Fatal(f.err)
	}
	return f.sent
}

// clock is when tasks were done.
type clock struct {
	mu    sync.Mutex
	times []time.Time
}

func (c *clock) answer(http.ResponseWriter, *request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.times = append(c.times, time.Now())
}

// longest is the longest time between two tasks within a time, with its borders.
func (c *clock) longest(from, to time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	var longest time.Duration
	last := from
	for _, at := range c.times {
		if at.Before(from) || at.After(to) {
			continue
		}
		longest, last = max(longest, at.Sub(last)), at
	}
	return max(longest, to.Sub(last))
}

// incarnations are what would be others if the nodes below id had been restarted.
func incarnations(root *supervisor.Node, id string) map[string]string {
	all := map[string]string{}
	var walk func(n *supervisor.Node)
	walk = func(n *supervisor.Node) {
		pid, generation := 0, n.Generation
		if n.PID != nil {
			pid = *n.PID
		}
		since := ""
		if n.Kind != "router" { // whose state is also that of its consumer
			since = fmt.Sprint(n.Since)
		}
		all[n.ID] = fmt.Sprintf("restarts %d, generation %d, pid %d, since %s", number(n.Restarts), generation, pid, since)
		for _, c := range n.Children {
			walk(c)
		}
	}
	walk(find(root, id))
	return all
}

// TestReloadUnderLoad: a pool that a reload changes loses nothing, and the others do
// not notice: their actors and processes stay, and their tasks flow. How long they
// stand still is printed beside what it is when nothing is reloaded: a busy machine is
// no fault.
func TestReloadUnderLoad(t *testing.T) {
	testenv.Program(t, "bash") // for the workers of mode process
	t.Run("embedded", func(t *testing.T) {
		reloadUnderLoad(t, setup{}, "load")
	})
	t.Run("RabbitMQ", func(t *testing.T) {
		r := dial(t, testenv.RabbitMQ(t))
		queue := r.queue("")
		for _, suffix := range []string{".same", ".procs"} {
			t.Cleanup(func() { r.remove(queue + suffix) })
		}
		reloadUnderLoad(t, setup{url: r.url}, queue)
	})
}

func reloadUnderLoad(t *testing.T, s setup, queue string) {
	t.Helper()
	repository, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	changed, same, ticks := newEndpoint(t), newEndpoint(t), new(clock)
	same.answer = ticks.answer
	pool := "%s:\n  queue: %s\n  slots: 40\n  workers: 2\n  tasks: {hook: {http: {url: %q}}}\n"
	s.pools = fmt.Sprintf(pool, "changed", queue, changed.url) + fmt.Sprintf(pool, "same", queue+".same", same.url) + fmt.Sprintf(`procs:
  queue: %s
  mode: process
  workers: 2
  process:
    cwd: %s
    command: [bash, -c, ". sdk/sh/magne-worker.sh; hook() { cat >/dev/null; }; magne_task hook; magne_run"]
`, queue+".procs", repository)
	a := start(t, s)
	url := s.url
	if url == "" {
		url = "amqp://guest:guest@" + a.listen + "/"
	}
	r := dial(t, url)
	both, few := r.feed(queue, queue+".same"), 20
	for i := range few {
		r.task(queue+".procs", "hook", i)
	}
	a.settled("procs", few)
	same.hasDone(t, 500)
	root, _ := a.tree()
	before := incarnations(root, "same")
	maps.Copy(before, incarnations(root, "procs"))

	// Two commands that change nothing first, because commands take CPU time, too.
	from := time.Now()
	a.look(0, "diff", "-c", a.config)
	a.look(0, "diff", "-c", a.config)
	same.flows(t)
	undisturbed := ticks.longest(from, time.Now())

	from = time.Now()
	a.rewrite("workers: 2", "workers: 6") // of the first pool
	if got := fmt.Sprint(a.changes("reload")); got != "map[changed:scale]" {
		t.Errorf("reload: got %s", got)
	}
	a.rewrite("slots: 40", "slots: 40\n    max_body: 2MiB")
	if got := fmt.Sprint(a.changes("reload")); got != "map[changed:restart]" {
		t.Errorf("reload: got %s", got)
	}
	same.flows(t)
	disturbed := ticks.longest(from, time.Now())
	t.Logf("longest time between two tasks of the other pool: %v without a reload, %v with two", undisturbed, disturbed)
	if limit := 10 * max(undisturbed, 50*time.Millisecond); disturbed > limit {
		t.Errorf("the other pool stood still for %v, want less than %v", disturbed, limit)
	}

	sent := both.end(t)
	for name, e := range map[string]*endpoint{"changed": changed, "same": same} {
		e.hasDone(t, sent)
		a.empty(name)
		if runs := total(e.begunRuns()); runs != sent {
			t.Errorf("%s: %d tasks, %d runs", name, sent, runs)
		}
	}
	a.healthy()
	root, _ = a.tree()
	after := incarnations(root, "same")
	maps.Copy(after, incarnations(root, "procs"))
	for _, id := range slices.Sorted(maps.Keys(before)) {
		if before[id] != after[id] {
			t.Errorf("%s was touched: it was %s and is %s", id, before[id], after[id])
		}
	}
	if n := find(root, "pool:changed"); n.Detail != "6/6" {
		t.Errorf("pool:changed is %s, want 6/6", n.Detail)
	}
	a.stop()
}

// flows waits until tasks have been done for a while, so that a pause that has just
// begun is seen.
func (e *endpoint) flows(t *testing.T) {
	t.Helper()
	e.hasDone(t, len(e.doneRuns())+100)
}
