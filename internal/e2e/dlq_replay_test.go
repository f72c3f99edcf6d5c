package e2e_test

import (
	"fmt"
	"maps"
	"strings"
	"syscall"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// replayReport is what dlq replay prints with -o json.
type replayReport struct {
	Queue                                     string
	Ready, Matched, Replayed, Refused, Failed int
	LookedAt                                  int `json:"looked_at"`
	To                                        map[string]int
	DryRun                                    bool `json:"dry_run"`
	Seconds                                   float64
}

// TestDlqReplay: what is meant runs again, with its provenance; the rest stays.
func TestDlqReplay(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rabbit) {
		queue := r.grave()
		for i := range 30 {
			reason := []string{"timeout", "panic", "decode"}[i%3]
			r.bury(queue, fmt.Sprint("id-", i), reason, fmt.Sprint("error ", i), amqp091.Table{
				"mine": amqp091.Table{"deep": []any{int8(1), amqp091.Table{"x": nil}}}, "x-magne-lost": int64(2), "x-autopsy": "killed",
				"x-death": []any{amqp091.Table{"queue": queue, "reason": "rejected", "count": int64(1)}},
			})
		}
		report := func(code int, args ...string) replayReport {
			t.Helper()
			got := dlqOf(t, r, append([]string{"replay", queue, "-o", "json"}, args...)...).want(t, code)
			return decode[replayReport](t, got.stdout)
		}
		if got := report(0, "--reason", "panic", "--dry-run"); got.Matched != 10 || got.To[queue] != 10 || got.Replayed != 0 || !got.DryRun || got.LookedAt != 30 {
			t.Errorf("dry run: got %+v", got)
		}
		r.holds(dead(queue), 30)
		r.holds(queue, 0)
		if got := report(0, "--reason", "panic"); got.Replayed != 10 || got.Matched != 10 || got.Ready != 30 || got.Refused+got.Failed != 0 {
			t.Errorf("by reason: got %+v", got)
		}
		seen := map[string]bool{}
		for _, d := range r.take(queue, 10) {
			seen[d.MessageId] = true
			mine, _ := d.Headers["mine"].(amqp091.Table)
			if d.Headers["x-replays"] != int64(1) || d.Headers["x-first-reason"] != "panic" || d.Headers["x-first-seen"] != "2026-11-01T10:00:00Z" ||
				d.DeliveryMode != amqp091.Persistent || d.Type != "resize" || fmt.Sprint(mine["deep"]) != "[1 map[x:<nil>]]" {
				t.Fatalf("got %+v", d.Headers)
			}
			if at, err := time.Parse(time.RFC3339, fmt.Sprint(d.Headers["x-replayed-at"])); err != nil || time.Since(at) > time.Hour {
				t.Fatalf("x-replayed-at: %v, %v", d.Headers["x-replayed-at"], err)
			}
			for _, name := range []string{"x-attempt", "x-reason", "x-error", "x-magne-lost", "x-autopsy", "x-death", "x-queue", "x-node"} {
				if v, has := d.Headers[name]; has {
					t.Fatalf("%s is %v", name, v)
				}
			}
		}
		if len(seen) != 10 {
			t.Errorf("got %v", seen)
		}
		if got := report(0, "--id", "id-0", "--id", "id-2", "--id", "id-1"); got.Replayed != 2 {
			t.Errorf("by id: got %+v", got)
		}
		r.take(queue, 2)
		groups := decode[[]deadGroup](t, dlqOf(t, r, "groups", queue, "-o", "json").want(t, 0).stdout)
		if len(groups) != 2 || groups[0].Count != 9 {
			t.Fatalf("groups: got %+v", groups)
		}
		if got := report(0, "--group", groups[0].Group, "--task", "resize"); got.Replayed != 9 {
			t.Errorf("by group: got %+v", got)
		}
		r.take(queue, 9)
		other := queue + ".other"
		t.Cleanup(func() { r.remove(other) })
		r.plain(other, nil)
		if got := report(0, "--all", "--to", other); got.Replayed != 9 || got.To[other] != 9 {
			t.Errorf("--to: got %+v", got)
		}
		r.take(other, 9)
		r.holds(dead(queue), 0)

		report(1, "--id", "no-such")
		if got := report(0, "--all"); got.Ready != 0 {
			t.Errorf("nothing there: got %+v", got)
		}
		for _, args := range [][]string{{}, {"--all", "--id", "a"}, {"--all", "--to", dead(queue)}, {"--all", "--rate", "fast"}, {"--all", "--max-replays", "0"}} {
			dlqOf(t, r, append([]string{"replay", queue}, args...)...).want(t, 2)
		}
	})
}

// TestDlqReplayRuns: a replayed task has all its attempts again, and when it fails
// again its letter knows of both.
func TestDlqReplayRuns(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rabbit) {
		name := r.queue("")
		a := start(t, setup{url: r.url, pools: fmt.Sprintf("p: {queue: %s, retry: {max_attempts: 2, initial: 1ms, max: 1ms}, tasks: {broken: {builtin: fail}}}", name)})
		magneIn(t, a.dir, nil, nil, "publish", "-c", a.config, "broken").want(t, 0)
		a.settled("p", 2)
		for round := range 4 {
			r.holds(dead(name), 1)
			got := decode[[]deadLetter](t, magneIn(t, a.dir, nil, nil, "dlq", "show", "p", "-c", a.config, "-o", "json").want(t, 0).stdout)
			if len(got) != 1 || got[0].Reason != "max_attempts" || got[0].Attempts != 2 || got[0].Replays != round || round > 0 && got[0].FirstReason != "max_attempts" {
				t.Fatalf("round %d: got %+v", round, got)
			}
			code := 0
			if round == 3 {
				code = 1
			}
			said := magneIn(t, a.dir, nil, nil, "dlq", "replay", "p", "-c", a.config, "--all").want(t, code)
			if round == 3 && !strings.Contains(said.stderr, "3 times") {
				t.Errorf("the loop guard says: %s", said.stderr)
			}
			if round < 3 {
				a.settled("p", 2*(round+2))
			}
		}
		magneIn(t, a.dir, nil, nil, "dlq", "replay", "p", "-c", a.config, "--all", "--force").want(t, 0)
		a.settled("p", 10)
		r.holds(dead(name), 1)
		a.stop()
	})
}

// TestDlqUnroutable: nothing is removed when the destination is missing or full.
func TestDlqUnroutable(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rabbit) {
		queue := r.grave()
		for i := range 300 { // more than may be unconfirmed
			r.bury(queue, fmt.Sprint(i), "timeout", "late", nil)
		}
		got := dlqOf(t, r, "replay", queue, "--all", "--to", "no-such-queue", "-o", "json").want(t, 1)
		if report := decode[replayReport](t, got.stdout); report.Replayed != 0 || report.Failed == 0 ||
			!strings.Contains(got.stderr, "unroutable") || !strings.Contains(got.stderr, "no-such-queue") || !strings.Contains(got.stderr, "stays") {
			t.Errorf("got %+v\n%s", report, got.stderr)
		}
		dlqOf(t, r, "replay", queue, "--all", "--to", "no-such-queue", "--dry-run").want(t, 1)
		r.holds(dead(queue), 300)

		full := queue + ".full"
		t.Cleanup(func() { r.remove(full) })
		r.plain(full, amqp091.Table{"x-max-length": int32(5), "x-overflow": "reject-publish"})
		got = dlqOf(t, r, "replay", queue, "--all", "--to", full, "-o", "json").want(t, 75)
		report := decode[replayReport](t, got.stdout)
		if report.Replayed < 5 || report.Failed == 0 {
			t.Errorf("got %+v\n%s", report, got.stderr)
		}
		r.holds(full, report.Replayed)
		r.holds(dead(queue), 300-report.Replayed)
	})
}

// counted are the messages in a queue by their id; they stay there.
func (r *rabbit) counted(queue string, into map[string]int) {
	r.t.Helper()
	n := r.ready(queue)
	ch := r.channel()
	defer ch.Close() // puts them back
	in, err := ch.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := range n {
		select {
		case d := <-in:
			into[d.MessageId]++
		case <-time.After(patience):
			r.t.Fatalf("%s: %d of %d messages came", queue, i, n)
		}
	}
}

// TestDlqReplayKilled: kill -9 in the middle of a replay, three times, and then an
// INT: every message is in one of the queues at any time, and what both have is less
// than the window of unconfirmed copies.
func TestDlqReplayKilled(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rabbit) {
		queue := r.grave()
		const n = 2000
		r.fill(dead(queue), n, func(i int) amqp091.Publishing { return amqp091.Publishing{MessageId: fmt.Sprint(i)} })
		args := []string{"dlq", "replay", "--url", r.url, queue, "--all"}
		twice := 0
		for round := range 4 {
			before := r.ready(queue)
			if round == 1 {
				args = append(args, "--rate", "200/s") // the first one is killed at full speed
			}
			p := spawn(t, t.TempDir(), nil, nil, args...)
			eventually(t, "some are replayed", func() (bool, any) {
				got := r.ready(queue)
				return got >= before+50, got
			})
			if round < 3 {
				p.kill()
			} else {
				p.signal(syscall.SIGINT)
				if code := p.wait(); code != 1 || !strings.Contains(p.stderr.String(), "interrupted") {
					t.Errorf("INT: exit %d: %s", code, p.stderr.tail())
				}
			}
			now := 0
			for id, c := range r.settledDown(queue, n) {
				if c > 1 {
					now++
				}
				if c > 2+round {
					t.Errorf("message %s is there %d times", id, c)
				}
			}
			if round == 3 && now > twice {
				t.Errorf("an interrupted command has left copies of %d letters that are still there", now-twice)
			}
			twice = now
			t.Logf("round %d: %d replayed, %d there twice", round, r.ready(queue), twice)
			if twice > 256*(round+1) {
				t.Errorf("round %d: %d messages are there twice", round, twice)
			}
		}
		dlqOf(t, r, "replay", queue, "--all").want(t, 0)
		r.holds(dead(queue), 0)
		total := map[string]int{}
		r.counted(queue, total)
		if len(total) != n {
			t.Errorf("in the end: %d of %d", len(total), n)
		}
	})
}

// settledDown counts the copies of n messages in a queue and its dead letters, once
// what a killed command held is back, and returns when what the counting took is:
// quorum queues take their time.
func (r *rabbit) settledDown(queue string, n int) (total map[string]int) {
	r.t.Helper()
	ready := func() int { return r.ready(queue) + r.ready(dead(queue)) }
	last, since, sum := 0, time.Now(), 0
	eventually(r.t, "what was taken is back", func() (bool, any) {
		if now := ready(); now != last {
			last, since = now, time.Now()
		}
		if last < n || time.Since(since) < time.Second {
			return false, fmt.Sprintf("%d ready since %v", last, since)
		}
		total, sum = map[string]int{}, 0
		r.counted(queue, total)
		r.counted(dead(queue), total)
		for _, c := range total {
			sum += c
		}
		since = time.Now()
		return len(total) == n && sum == last, fmt.Sprintf("%d messages, %d copies, %d ready before", len(total), sum, last)
	})
	eventually(r.t, "what was counted is back", func() (bool, any) { got := ready(); return got == sum, got })
	return total
}

// TestDlqMany: ten thousand, looked at and replayed in a time that people wait.
func TestDlqMany(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rabbit) {
		queue := r.grave()
		n := 10_000
		if raceEnabled {
			n = 1_000 // each is a round trip
		}
		r.fill(dead(queue), n, func(i int) amqp091.Publishing {
			return amqp091.Publishing{MessageId: fmt.Sprint(i), Headers: amqp091.Table{"x-reason": "timeout", "x-error": fmt.Sprintf("after %d s", i), "x-queue": queue}, Body: []byte("{}")}
		})
		begin := time.Now()
		groups := decode[[]deadGroup](t, dlqOf(t, r, "groups", queue, "-o", "json").want(t, 0).stdout)
		if len(groups) != 1 || groups[0].Count != n || groups[0].Example != "0" {
			t.Fatalf("got %+v", groups)
		}
		looked := time.Since(begin)
		first := decode[[]deadLetter](t, dlqOf(t, r, "show", queue, "-n", "10000", "-o", "json").want(t, 0).stdout)
		for i, l := range first {
			if l.ID != fmt.Sprint(i) {
				t.Fatalf("letter %d is %s after a look at all", i, l.ID)
			}
		}
		begin = time.Now()
		got := dlqOf(t, r, "replay", queue, "--all", "-o", "json").want(t, 0)
		t.Logf("looked at %d in %v, replayed in %v", n, looked, time.Since(begin))
		if report := decode[replayReport](t, got.stdout); report.Replayed != n || report.Seconds <= 0 || !maps.Equal(report.To, map[string]int{queue: n}) {
			t.Errorf("got %+v", report)
		}
		r.holds(queue, n)
		r.holds(dead(queue), 0)
	})
}

// fill publishes n messages and waits for the confirms in the end.
func (r *rabbit) fill(queue string, n int, message func(i int) amqp091.Publishing) {
	r.t.Helper()
	ch := r.channel()
	defer ch.Close()
	if err := ch.Confirm(false); err != nil {
		r.t.Fatal(err)
	}
	for i := range n {
		p := message(i)
		p.DeliveryMode = amqp091.Persistent
		if err := ch.PublishWithContext(r.t.Context(), "", queue, false, false, p); err != nil {
			r.t.Fatal(err)
		}
	}
	r.holds(queue, n)
}

func TestDlqDrop(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rabbit) {
		queue := r.grave()
		for i := range 9 {
			r.bury(queue, fmt.Sprint(i), []string{"timeout", "panic", "decode"}[i%3], "x", nil)
		}
		dlqOf(t, r, "drop", queue, "--yes").want(t, 2) // which?
		dlqOf(t, r, "drop", queue, "--all").want(t, 2) // asks, and there is no terminal
		dlqOf(t, r, "drop", queue, "--id", "no-such", "--yes").want(t, 1)
		dlqOf(t, r, "drop", queue, "--reason", "panic", "--dry-run").want(t, 0) // and does nothing
		r.holds(dead(queue), 9)
		type report struct{ Ready, Dropped int }
		if got := decode[report](t, dlqOf(t, r, "drop", queue, "--reason", "panic", "--yes", "-o", "json").want(t, 0).stdout); got != (report{9, 3}) {
			t.Errorf("by reason: got %+v", got)
		}
		left := map[string]int{}
		r.counted(dead(queue), left)
		if want := map[string]int{"0": 1, "2": 1, "3": 1, "5": 1, "6": 1, "8": 1}; !maps.Equal(left, want) {
			t.Errorf("left: got %v", left)
		}
		dlqOf(t, r, "drop", queue, "--all", "-y").want(t, 0)
		r.holds(dead(queue), 0)
	})
}
