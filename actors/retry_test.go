package actors

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/supervisor/process"
	"github.com/magne-actors/magne-actors/task"
)

// TestJudge has the decisions after a run in testdata/judge: "policy" sets a policy,
// and "judge" what the message has been through and how its run ended.
func TestJudge(t *testing.T) {
	var policy Retry
	datadriven.RunTest(t, "testdata/judge", func(t *testing.T, d *datadriven.TestData) string {
		switch d.Cmd {
		case "policy":
			policy = parsePolicy(t, d).withDefaults()
			return fmt.Sprintf("%v\n", errors.Join(policy.problems()...))
		case "judge":
			before := past{attempt: 1}
			d.MaybeScanArgs(t, "attempt", &before.attempt)
			d.MaybeScanArgs(t, "snoozes", &before.snoozes)
			name := "t"
			d.MaybeScanArgs(t, "task", &name)
			return describe(judge(policy.forTask(name), before, parseError(d.Input), parseCause(t, d), 0.5)) + "\n"
		}
		t.Fatalf("unknown command %s", d.Cmd)
		return ""
	})
}

func parsePolicy(t *testing.T, d *datadriven.TestData) Retry {
	var p Retry
	d.MaybeScanArgs(t, "max_attempts", &p.MaxAttempts)
	d.MaybeScanArgs(t, "max_snoozes", &p.MaxSnoozes)
	for _, a := range d.CmdArgs {
		switch a.Key {
		case "retry_on":
			p.RetryOn = a.Vals
		case "discard_on":
			p.DiscardOn = a.Vals
		case "thumb_attempts":
			p.Tasks = map[string]Retry{"thumb": {MaxAttempts: 1}}
		}
	}
	p.Backoff = supervisor.Backoff{Initial: time.Second, Max: 10 * time.Second}
	return p
}

// parseError makes an error of words, the innermost first.
func parseError(words string) error {
	err := errors.New("boom")
	for word := range strings.FieldsSeq(words) {
		verb, arg, _ := strings.Cut(word, ":")
		switch verb {
		case "ok":
			return nil
		case "kind":
			err = task.WithKind(err, arg)
		case "discard":
			err = task.Discard(err)
		case "unknown":
			err = fmt.Errorf("%w %q", task.ErrUnknown, "t")
		case "retry":
			after, _ := time.ParseDuration(arg)
			err = task.Retry(err, after)
		case "panic":
			err = &task.PanicError{Value: "boom"}
		case "deadline":
			err = fmt.Errorf("get: %w", context.DeadlineExceeded)
		case "overdue":
			err = overdue(time.Second, time.Second)
		case "worker":
			err = &process.TaskError{Kind: arg, Message: "boom"}
		case "soft":
			err = &process.TaskError{Kind: "Cancelled", Message: "timeout", Timeout: true}
		}
	}
	return err
}

func parseCause(t *testing.T, d *datadriven.TestData) error {
	var word string
	d.MaybeScanArgs(t, "cause", &word)
	return map[string]error{"timeout": ErrTimeout, "shutdown": ErrShutdown, "cancelled": ErrCancelled}[word]
}

// describe is all that a verdict says, but the error.
func describe(v verdict) string {
	s := words(v)
	if v.action == retryIt {
		s += fmt.Sprintf(" in %v", v.after)
	}
	if v.kind != "" {
		s += " kind " + v.kind
	}
	if v.snoozes > 0 {
		s += fmt.Sprintf(" snoozes %d", v.snoozes)
	}
	return s
}

// TestPolicyProperties: whatever a handler says, the number of attempts and of snoozes
// is bounded, an attempt is never counted for a snooze, and no wait is negative.
func TestPolicyProperties(t *testing.T) {
	ends := []string{"", "kind:a", "kind:b", "retry:1s", "retry", "panic", "deadline", "worker:a retry:1m"}
	rapid.Check(t, func(t *rapid.T) {
		policy := Retry{
			MaxAttempts: rapid.IntRange(1, 5).Draw(t, "attempts"), MaxSnoozes: rapid.IntRange(1, 5).Draw(t, "snoozes"),
			DiscardOn: rapid.SliceOf(rapid.SampledFrom([]string{"b", "*x*"})).Draw(t, "discard_on"),
		}.withDefaults()
		headers := map[string]any{}
		attempts, snoozes := 0, 0
		for run := 0; ; run++ {
			if run > policy.MaxAttempts+policy.MaxSnoozes {
				t.Fatalf("%d runs with %d attempts and %d snoozes", run, policy.MaxAttempts, policy.MaxSnoozes)
			}
			d := &broker.Delivery{Properties: broker.Properties{Headers: headers}}
			err := parseError(rapid.SampledFrom(ends).Draw(t, "end"))
			v := judge(&policy, pastOf(d), err, nil, rapid.Float64Range(0, 0.999).Draw(t, "random"))
			if task.OutcomeOf(err).Kind == task.KindRetry {
				snoozes++
			} else {
				attempts++
			}
			if v.after < 0 {
				t.Fatalf("a wait of %v", v.after)
			}
			if v.action == deadLetterIt {
				if v.reason == reasonMaxSnoozes && snoozes != policy.MaxSnoozes+1 || v.reason == reasonMaxAttempts && attempts != policy.MaxAttempts {
					t.Fatalf("%s after %d attempts and %d snoozes", v.reason, attempts, snoozes)
				}
				return
			}
			p := &pool{Pool: Pool{Queue: broker.Queue{Name: "q"}}}
			c := nextAttempt(d, p, &v, time.Now())
			if headers = c.Headers; attemptOf(&broker.Delivery{Properties: c.Properties}) != attempts+1 {
				t.Fatalf("attempt %v after %d", headers[headerAttempt], attempts)
			}
		}
	})
}
