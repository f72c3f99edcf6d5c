package health_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/actors"
	"github.com/magne-actors/magne-actors/internal/health"
	"github.com/magne-actors/magne-actors/supervisor"
)

var epoch = time.Unix(1_000_000, 0)

// The file is a history: each command is one question at a time after the epoch,
// with the whole input, and all of them are answered by one judge. The commands are
//
//	reset                           a new judge
//	judge at=40s                    with the lines
//	root STATE | none               state of the root
//	broker STATE ["last error"]
//	router POOL STATE SINCE ["last error"]
//	pool POOL [consuming] [paused] [suspended] [parked] [flight=N] [delivered=N] [running=N] [copies=N copied=SECONDS]
//	asked AT [error="..."]          when the broker was asked
//	queue POOL ready=N consumers=N [shared] [error="..."]
func TestJudge(t *testing.T) {
	judge := new(health.Judge)
	datadriven.RunTest(t, "testdata/judge.txt", func(t *testing.T, d *datadriven.TestData) string {
		if d.Cmd == "reset" {
			judge = new(health.Judge)
			return ""
		}
		in := health.Input{Now: epoch.Add(arg(t, d, "at"))}
		for line := range strings.Lines(d.Input) {
			read(t, d, &in, strings.TrimSpace(line))
		}
		return show(judge.Judge(in))
	})
}

func arg(t *testing.T, d *datadriven.TestData, key string) time.Duration {
	t.Helper()
	var s string
	d.ScanArgs(t, key, &s)
	return duration(t, s)
}

func duration(t *testing.T, s string) time.Duration {
	t.Helper()
	v, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// read reads one line of an input.
func read(t *testing.T, d *datadriven.TestData, in *health.Input, line string) {
	t.Helper()
	line, quoted, _ := strings.Cut(line, `"`)
	text := strings.TrimSuffix(quoted, `"`)
	words := strings.Fields(line)
	has := func(word string) bool { return strings.Contains(" "+line+" ", " "+word+" ") }
	number := func(key string) (n int64) {
		for _, w := range words {
			if v, ok := strings.CutPrefix(w, key+"="); ok {
				if _, err := fmt.Sscan(v, &n); err != nil {
					d.Fatalf(t, "%s: %v", w, err)
				}
			}
		}
		return n
	}
	var failure error
	if text != "" {
		failure = errors.New(text)
	}
	switch words[0] {
	case "root":
		if words[1] != "none" {
			in.Tree = &supervisor.Node{ID: "root", Kind: "root", State: words[1]}
		}
	case "broker":
		in.Tree.Children = append(in.Tree.Children, &supervisor.Node{ID: "broker", State: words[1], LastError: text})
	case "router":
		since := epoch.Add(duration(t, words[3]))
		in.Tree.Children = append(in.Tree.Children, &supervisor.Node{ID: "router:" + words[1], State: words[2], Since: &since, LastError: text})
	case "pool":
		in.Pools = append(in.Pools, actors.PoolStats{
			Pool: words[1], Queue: "q." + words[1], Consuming: has("consuming"), Paused: has("paused"), Suspended: has("suspended"),
			Parked: has("parked"), Running: number("running"), Copies: number("copies"), CopiesSince: epoch.Add(time.Duration(number("copied")) * time.Second), InFlight: number("flight"), Delivered: number("delivered"), High: 64, Low: 32,
		})
	case "asked":
		in.Answer = health.Answer{At: epoch.Add(duration(t, words[1])), Err: failure, Queues: map[string]health.Queue{}}
	case "queue":
		in.Answer.Queues["q."+words[1]] = health.Queue{
			Ready: int(number("ready")), Consumers: int(number("consumers")), Shared: has("shared"), Err: failure,
		}
	default:
		d.Fatalf(t, "no such line: %s", line)
	}
}

func show(r health.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "ready: %v\n", r.Ready)
	for _, reason := range r.Reasons {
		fmt.Fprintf(&b, "because %s\n", reason)
	}
	for _, p := range r.Pools {
		messages := "?"
		if p.Messages != nil {
			messages = fmt.Sprint(*p.Messages)
		}
		fmt.Fprintf(&b, "%s: %s, %s messages, ready %v: %s\n", p.Pool, p.State, messages, p.Ready, p.Text)
	}
	if r.Unasked != "" {
		fmt.Fprintln(&b, r.Unasked)
	}
	return b.String()
}

// An instance is ready if nothing is said against it; each pool that is not ready is
// a reason; and what is unknown is never a reason against a pool that consumes.
func TestReadyAndReasonsAgree(t *testing.T) {
	states := rapid.SampledFrom([]string{"up", "connected", "consuming", "paused", "connecting", "failed", "draining", "backoff"})
	rapid.Check(t, func(t *rapid.T) {
		var j health.Judge
		for step := range rapid.IntRange(1, 6).Draw(t, "questions") {
			now := epoch.Add(time.Duration(step) * 15 * time.Second)
			in := health.Input{Now: now, Answer: health.Answer{At: now.Add(-time.Second), Queues: map[string]health.Queue{}}}
			in.Tree = &supervisor.Node{ID: "root", State: "up", Children: []*supervisor.Node{
				{ID: "broker", State: "connected"}, {ID: "router:p", State: states.Draw(t, "router"), Since: &epoch},
			}}
			p := actors.PoolStats{
				Pool: "p", Queue: "q", Consuming: rapid.Bool().Draw(t, "consuming"), Paused: rapid.Bool().Draw(t, "paused"),
				Suspended: rapid.Bool().Draw(t, "suspended"), Parked: rapid.Bool().Draw(t, "parked"),
				InFlight: rapid.Int64Range(0, 1).Draw(t, "flight"), Delivered: rapid.Int64Range(0, 1).Draw(t, "delivered"),
			}
			in.Pools = []actors.PoolStats{p}
			told := rapid.Bool().Draw(t, "told")
			if told {
				in.Answer.Queues["q"] = health.Queue{Ready: rapid.IntRange(0, 1).Draw(t, "ready"), Consumers: rapid.IntRange(0, 1).Draw(t, "consumers")}
			}
			r := j.Judge(in)
			if r.Ready != (len(r.Reasons) == 0) || r.Ready != r.Pools[0].Ready || r.Ready != (r.Err() == nil) {
				t.Fatalf("contradicts itself: %+v", r)
			}
			router := in.Tree.Children[1].State
			if !told && p.Consuming && !p.Parked && router != "draining" && router != "failed" && !r.Ready {
				t.Fatalf("not ready although nothing is known against it: %+v", r)
			}
			if p.Parked && r.Ready {
				t.Fatalf("ready with a parked pool: %+v", r)
			}
		}
	})
}
