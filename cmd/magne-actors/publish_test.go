package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/testenv"
	"github.com/magne-actors/magne-actors/task/codec"
)

// stallingSession accepts and confirms a message each second until it has the
// given numbers of them; then it blocks, as RabbitMQ does during an alarm.
type stallingSession struct {
	broker.Session
	accept, confirm int
}

func (s *stallingSession) Publish(ctx context.Context, _ *broker.Publication, done func(error)) error {
	if s.accept == 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	<-time.After(time.Second)
	if s.accept--; s.confirm > 0 {
		s.confirm--
		done(nil)
	}
	return nil
}

func (s *stallingSession) Close(context.Context) error { return nil }

func TestPublishStalls(t *testing.T) {
	for name, c := range map[string]struct {
		session    stallingSession
		n          int
		confirmed  int
		unknown    int
		took       time.Duration // the timeout is 3 s
		wantStatus int
		want       string
	}{
		"never":      {session: stallingSession{accept: 10, confirm: 10}, n: 10, confirmed: 10, took: 10 * time.Second},
		"at once":    {n: 10, took: 3 * time.Second, wantStatus: exitTemporary, want: "nothing was accepted for 3s"},
		"midway":     {session: stallingSession{accept: 5, confirm: 4}, n: 10, confirmed: 4, unknown: 1, took: 8 * time.Second, wantStatus: exitTemporary, want: "nothing was accepted for 3s"},
		"at the end": {session: stallingSession{accept: 10, confirm: 9}, n: 10, confirmed: 9, unknown: 1, took: 13 * time.Second, wantStatus: exitTemporary, want: "nothing was confirmed for 3s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				json, err := codec.ByName("json")
				if err != nil {
					t.Fatal(err)
				}
				target := target{queue: broker.Queue{Name: "q"}, codec: json, timeout: 3 * time.Second}
				begin := time.Now()
				got, err := target.run(t.Context(), &c.session, repeat(c.n, "t", nil), newTally(io.Discard, c.n))
				if took := time.Since(begin); took != c.took {
					t.Errorf("took %v, want %v", took, c.took)
				}
				if got.Confirmed != c.confirmed || got.Unknown != c.unknown {
					t.Errorf("got %+v, want %d confirmed, %d unknown", got, c.confirmed, c.unknown)
				}
				if status(err) != c.wantStatus || errors.Is(err, errStalled) != (c.wantStatus != exitOK) || err != nil && !strings.Contains(err.Error(), c.want) {
					t.Errorf("got status %d, error %v, want %d and %q", status(err), err, c.wantStatus, c.want)
				}
			})
		})
	}
}

// TestPublishDuringAlarm publishes to a real broker without memory.
func TestPublishDuringAlarm(t *testing.T) {
	n := testenv.Private(t, testenv.Options{})
	publish := func(number string) (int, string) {
		var out bytes.Buffer
		code := run(t.Context(), []string{"publish", "--url", n.URL, "--queue", "alarm", "--codec", "magne", "--timeout", "1s", "-n", number, "t"}, strings.NewReader(""), &out, &out)
		return code, out.String()
	}
	if code, out := publish("1"); code != exitError || !strings.Contains(out, "1 unroutable") {
		t.Fatalf("without the queue: exit status %d\n%s", code, out)
	}
	if _, err := n.Ctl(t.Context(), "set_vm_memory_high_watermark", "0.00000001"); err != nil {
		t.Fatal(err)
	}
	for _, number := range []string{"1", "2000"} {
		begin := time.Now()
		code, out := publish(number)
		if code != exitTemporary || !strings.Contains(out, "the broker blocks publishers (memory or disk alarm?)") || !strings.Contains(out, "stopped after 0 confirmed") {
			t.Errorf("%s during an alarm: exit status %d\n%s", number, code, out)
		}
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("%s during an alarm took %v", number, took)
		}
	}
	if _, err := n.Ctl(t.Context(), "set_vm_memory_high_watermark", "0.4"); err != nil {
		t.Fatal(err)
	}
	if code, out := publish("1"); code != exitError {
		t.Errorf("after the alarm: exit status %d\n%s", code, out)
	}
}

func TestLineTooLong(t *testing.T) {
	in := io.MultiReader(strings.NewReader("[1]\n"), strings.NewReader(strings.Repeat("x", maxLine+1)))
	good := 0
	for m, err := range lines(in, "args.jsonl", "resize") {
		if m != nil {
			good++
		} else if status(err) != exitUsage || !strings.Contains(err.Error(), "args.jsonl:2: the line is longer than 16 MiB") {
			t.Errorf("got %v", err)
		}
	}
	if good != 1 {
		t.Errorf("got %d messages, want the one before it", good)
	}
}
