package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// waitingTask is what delayed list and show print with -o json.
type waitingTask struct {
	ID, Task, Queue string
	Due             *time.Time
	In              string `json:"waits_in"`
	Message         struct {
		Headers map[string]any
		Body    *string
	}
}

// delayChange is what delayed cancel and reschedule print with -o json.
type delayChange struct {
	LookedAt               int `json:"looked_at"`
	Matched, Failed        int
	Cancelled, Rescheduled *int
	DryRun                 bool `json:"dry_run"`
	Messages               []waitingTask
}

// delayedOf runs a delayed command against the broker of r.
func delayedOf(t testing.TB, r *rabbit, args ...string) result {
	t.Helper()
	return magne(t, nil, slices.Concat([]string{"delayed", args[0], "--url", r.url}, args[1:])...)
}

// TestDelayed: delayed tasks, one test after the other. They look at the delay queues
// of the shared node, and a look takes what is in them, and gives it back at its end.
func TestDelayed(t *testing.T) {
	onBoth(t, func(t *testing.T, broker *rabbit) {
		for _, test := range []struct {
			name string
			run  func(t *testing.T, r *rabbit)
		}{
			{"publish", publishDelayed}, {"change", changeDelayed}, {"undelivered", delayedUndelivered}, {"reschedule killed", rescheduleKilled},
		} {
			t.Run(test.name, func(t *testing.T) { test.run(t, dial(t, broker.url)) })
		}
	})
}

// waiting are the tasks that wait for a queue.
func (r *rabbit) waiting(queue string) []waitingTask {
	r.t.Helper()
	return decode[[]waitingTask](r.t, delayedOf(r.t, r, "list", "--queue", queue, "-o", "json").want(r.t, 0).stdout)
}

// later publishes tasks of a name for a queue.
func (r *rabbit) later(queue, in, task string, n int, more ...string) report {
	r.t.Helper()
	args := []string{"publish", "--url", r.url, "--queue", queue, "--in", in, "-n", fmt.Sprint(n), "-o", "json", task}
	got := magne(r.t, nil, append(args, more...)...).want(r.t, 0).report(r.t)
	if got.Confirmed != n || got.Due == nil {
		r.t.Fatalf("publish --in %s: got %+v", in, got)
	}
	return got
}

// arrivals are when messages come to a queue, by their bodies.
func (r *rabbit) arrivals(queue string, n int) map[string]time.Time {
	r.t.Helper()
	return r.expecting(queue)(n)
}

// expecting begins to consume, so that nothing waits for that.
func (r *rabbit) expecting(queue string) (arrivals func(n int) map[string]time.Time) {
	r.t.Helper()
	ch := r.channel()
	in, err := ch.Consume(queue, "", true, false, false, false, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	type arrival struct {
		body string
		at   time.Time
	}
	came := make(chan arrival, 10_000)
	go func() {
		defer close(came)
		for d := range in {
			came <- arrival{string(d.Body), time.Now()}
		}
	}()
	return func(n int) map[string]time.Time {
		r.t.Helper()
		defer ch.Close()
		got := map[string]time.Time{}
		for len(got) < n {
			select {
			case a, ok := <-came:
				if !ok {
					r.t.Fatalf("the consumer of %s ended after %d of %d", queue, len(got), n)
				}
				got[a.body] = a.at
			case <-time.After(2 * patience):
				r.t.Fatalf("%d of %d came to %s", len(got), n, queue)
			}
		}
		return got
	}
}

// stalls sends messages to and fro until stop is called, which returns the longest
// time that one took: what a machine that has other things to do adds to each step.
func (r *rabbit) stalls() (stop func() time.Duration) {
	r.t.Helper()
	p := dial(r.t, r.url)
	queue := r.queue(".ping")
	p.plain(queue, nil)
	in, err := p.channel().Consume(queue, "", true, false, false, false, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	stopped, longest := make(chan struct{}), make(chan time.Duration, 1)
	go func() {
		var most time.Duration
		defer func() { longest <- most }()
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			begin := time.Now()
			if p.ch.PublishWithContext(context.Background(), "", queue, true, false, amqp091.Publishing{DeliveryMode: amqp091.Persistent}) != nil {
				return
			}
			if _, ok := <-in; !ok {
				return
			}
			most = max(most, time.Since(begin))
			select {
			case <-tick.C:
			case <-stopped:
				return
			}
		}
	}()
	return func() time.Duration {
		close(stopped)
		return <-longest
	}
}

// publishDelayed: none comes early, and none more than a second late, apart from
// what the machine does not let the broker do in time.
func publishDelayed(t *testing.T, r *rabbit) {
	t.Helper()
	queue := r.queue("")
	r.plain(queue, nil)
	r.later(queue, "1s", "first", 1) // declares what is needed
	r.arrivals(queue, 1)
	due, stop, arrivals := map[string]time.Time{}, r.stalls(), r.expecting(queue)
	for _, in := range []string{"1500ms", "4s", "8900ms"} {
		due[in] = *r.later(queue, in, "task", 1, in).Due
	}
	late := map[string]time.Duration{}
	for body, at := range arrivals(len(due)) {
		for in, moment := range due {
			if strings.Contains(body, in) {
				late[in] = at.Sub(moment)
			}
		}
	}
	const steps = 5 // three queues, the way in and the way out
	stall := stop()
	t.Logf("late by %v, a message to and fro took %v at most", late, stall)
	for in, by := range late {
		if by < 0 || by > time.Second+steps*stall {
			t.Errorf("%s: late by %v", in, by)
		}
	}
	if len(late) != len(due) {
		t.Errorf("came: %v, want %d", late, len(due))
	}
	publishDelayedRefusals(t, r, queue)
}

// publishDelayedRefusals: what is wrong is said, and what is over is published.
func publishDelayedRefusals(t *testing.T, r *rabbit, queue string) {
	t.Helper()
	run := func(code int, args ...string) result {
		t.Helper()
		return magne(t, nil, append([]string{"publish", "--url", r.url, "--queue", queue, "task"}, args...)...).want(t, code)
	}
	for _, args := range [][]string{
		{"--in", "soon"}, {"--in", "10"}, {"--in", "367d"}, {"--at", "2026-12-01T08:00"}, {"--at", "tomorrow"}, {"--in", "1s", "--at", "2026-12-01T08:00Z"},
	} {
		run(2, args...)
	}
	for _, args := range [][]string{{"--in", "0s"}, {"--in", "-5m"}, {"--at", "2001-01-01T00:00Z"}} {
		run(0, args...)
	}
	r.take(queue, 3)
	missing := magne(t, nil, "publish", "--url", r.url, "--queue", queue+".missing", "--in", "1h", "task").want(t, 1)
	contains(t, missing.stderr, queue+".missing", "`magne-actors run` declares")
	magne(t, nil, "publish", "--url", r.url, "--queue", "a.*.b", "--in", "1h", "task").want(t, 2)
	lines := magne(t, strings.NewReader("[1]\n[2]\n"), "publish", "--url", r.url, "--queue", queue, "--in", "1s", "--from", "-", "task").want(t, 0)
	contains(t, lines.stdout, "2 published", "due ")
	r.take(queue, 2)
}

// changeDelayed: tasks that wait are seen, cancelled and given another time, and others
// are left alone.
func changeDelayed(t *testing.T, r *rabbit) {
	t.Helper()
	queue, other := r.queue(".a"), r.queue(".b")
	r.plain(queue, nil)
	r.plain(other, nil)
	r.later(queue, "36h", "far", 3)
	r.later(queue, "50m", "near", 2, `"x"`)
	r.later(other, "50m", "near", 2)

	list := r.waiting(queue)
	if len(list) != 5 || list[0].Task != "near" || list[4].Task != "far" || list[0].Queue != queue || !strings.HasPrefix(list[0].In, "magne.v1.delay.3.") {
		t.Fatalf("list: got %+v", list)
	}
	if wait := time.Until(*list[4].Due); wait < 35*time.Hour || wait > 36*time.Hour {
		t.Errorf("due %v", list[4].Due)
	}
	id := list[0].ID
	shown := decode[[]waitingTask](t, delayedOf(t, r, "show", id, "-o", "json").want(t, 0).stdout)
	if len(shown) != 1 || shown[0].Message.Body == nil || !strings.Contains(*shown[0].Message.Body, `"x"`) || shown[0].Message.Headers["x-magne-queue"] != queue {
		t.Errorf("show: got %+v", shown)
	}
	contains(t, delayedOf(t, r, "show", id).want(t, 0).stdout, id, "near", queue)
	contains(t, delayedOf(t, r, "list", "--task", "near", "--queue", queue).want(t, 0).stdout, id, "DUE")

	change := func(code int, args ...string) delayChange {
		t.Helper()
		return decode[delayChange](t, delayedOf(t, r, append(args, "-o", "json")...).want(t, code).stdout)
	}
	if got := change(0, "cancel", "--queue", queue, "--dry-run"); got.Matched != 5 || *got.Cancelled != 0 || !got.DryRun || len(got.Messages) != 5 {
		t.Errorf("dry run: got %+v", got)
	}
	if got := change(0, "cancel", id); got.Matched != 1 || *got.Cancelled != 1 {
		t.Errorf("cancel: got %+v", got)
	}
	change(1, "cancel", id)
	delayedOf(t, r, "show", id).want(t, 1)
	delayedOf(t, r, "cancel").want(t, 2)
	delayedOf(t, r, "cancel", "--task", "near").want(t, 2) // there is no terminal to ask on
	delayedOf(t, r, "reschedule", id).want(t, 2)
	delayedOf(t, r, "list", "-n", "0").want(t, 2)

	if got := change(0, "reschedule", "--queue", queue, "--task", "far", "--in", "2h", "--yes"); got.Matched != 3 || *got.Rescheduled != 3 || got.Failed != 0 {
		t.Errorf("reschedule: got %+v", got)
	}
	for _, m := range r.waiting(queue)[1:] {
		if wait := time.Until(*m.Due); m.Task != "far" || wait < time.Hour || wait > 2*time.Hour {
			t.Errorf("rescheduled: got %+v", m)
		}
	}
	change(0, "reschedule", "--queue", queue, "--at", "2001-01-01T00:00Z", "--yes")
	for _, d := range r.take(queue, 4) {
		if d.Headers["x-death"] != nil || d.Headers["x-delivery-count"] != nil || d.MessageId == "" {
			t.Errorf("rescheduled to now: %v", d.Headers)
		}
	}
	if list := r.waiting(other); len(list) != 2 {
		t.Errorf("of the other queue: %+v", list)
	}
	change(0, "cancel", "--queue", other, "--yes")
	if list := r.waiting(other); len(list) != 0 {
		t.Errorf("all cancelled, and there is %+v", list)
	}
}

// delayedUndelivered: what was delayed for a queue that is gone is a dead letter,
// which knows where it was to go.
func delayedUndelivered(t *testing.T, r *rabbit) {
	t.Helper()
	const undelivered = "magne.v1.dead.magne.v1.deliver"
	queue := r.queue("")
	r.plain(queue, nil)
	r.later(queue, "15s", queue, 2) // the task has the name of the queue, to be told from those of other tests
	r.remove(queue)
	eventually(t, "they are dead letters", func() (bool, any) {
		got := dlqOf(t, r, "show", "--as-is", undelivered, "--task", queue, "-o", "json")
		if got.code != 0 {
			return false, got.stderr
		}
		letters := decode[[]deadLetter](t, got.stdout)
		return len(letters) == 2 && letters[0].Reason == "undelivered" && letters[0].Queue == queue, letters
	})
	r.plain(queue, nil)
	dlqOf(t, r, "replay", "--as-is", undelivered, "--task", queue).want(t, 0)
	for _, d := range r.take(queue, 2) {
		if d.Type != queue || d.Headers["x-death"] != nil {
			t.Errorf("replayed: %v %v", d.Type, d.Headers)
		}
	}
}

// rescheduleKilled kills the command in the middle: nothing is lost.
func rescheduleKilled(t *testing.T, r *rabbit) {
	t.Helper()
	const n = 300
	queue := r.queue("")
	r.plain(queue, nil)
	r.later(queue, "5h", "task", n)
	ids := map[string]bool{}
	for _, m := range decode[[]waitingTask](t, delayedOf(t, r, "list", "--queue", queue, "-n", "1000", "-o", "json").want(t, 0).stdout) {
		ids[m.ID] = true
	}
	if len(ids) != n {
		t.Fatalf("%d wait, want %d", len(ids), n)
	}
	for range 3 {
		p := spawn(t, t.TempDir(), nil, nil, "delayed", "reschedule", "--url", r.url, "--queue", queue, "--in", "6h", "--yes")
		eventually(t, "copies are made", func() (bool, any) {
			select {
			case <-p.exited:
				return true, nil
			default:
			}
			return r.ready("magne.v1.delay.4.a") > 10, r.ready("magne.v1.delay.4.a")
		})
		_ = p.cmd.Process.Signal(syscall.SIGKILL) // it may have ended
		<-p.exited
	}
	eventually(t, "everything is back", func() (bool, any) {
		left := map[string]bool{}
		for _, m := range decode[[]waitingTask](t, delayedOf(t, r, "list", "--queue", queue, "-n", "10000", "-o", "json").want(t, 0).stdout) {
			left[m.ID] = true
		}
		return len(left) == n, len(left)
	})
	delayedOf(t, r, "cancel", "--queue", queue, "--yes").want(t, 0)
}
