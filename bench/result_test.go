package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/task/builtin"
	"github.com/magne-actors/magne-actors/task/codec"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// golden compares got with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// measured are the rows of a comparison that never took place.
//
//go:fix inline
func measured(t *testing.T, args ...string) []row {
	t.Helper()
	o, err := parse(args, new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	raw := []sample{
		{Seconds: 2, ClientCPUSeconds: 0.6, BrokerCPUSeconds: new(1.0), PeakRSSMiB: 18, PeakInFlight: 50},
		{Seconds: 9, ClientCPUSeconds: 0.7, BrokerCPUSeconds: new(3.0), PeakRSSMiB: 19, PeakInFlight: 49},
		{Seconds: 1, ClientCPUSeconds: 0.5, BrokerCPUSeconds: new(2.0), PeakRSSMiB: 17, PeakInFlight: 50},
	}
	ours := []sample{
		{Seconds: 2.5, ClientCPUSeconds: 0.9, BrokerCPUSeconds: new(1.0), PeakRSSMiB: 60, PeakInFlight: 900, PeakRunning: 700, Pauses: 2},
		{Seconds: 2.4, ClientCPUSeconds: 0.8, BrokerCPUSeconds: new(1.0), PeakRSSMiB: 61, PeakInFlight: 1000, PeakRunning: 800, Pauses: 1},
	}
	rows := []row{summarize(o, systemRaw, raw), summarize(o, systemActors, ours)}
	for i := range rows {
		rows[i].Broker, rows[i].Go, rows[i].CPUs = "RabbitMQ 3.10.8", "go1.26.8", 2
	}
	relate(rows)
	return rows
}

// TestRelateToPlain: the ratios are those of the rounds, which a slow one does not
// distort.
func TestRelateToPlain(t *testing.T) {
	o, err := parse([]string{"noop", "-vs", "plain", "-n", "1000"}, new(bytes.Buffer))
	if err != nil || o.runs != plainRuns {
		t.Fatalf("%v, %d runs", err, o.runs)
	}
	if first, second := o.byRound(0), o.byRound(1); first[0] != systemPlain || second[0] != systemSpool {
		t.Errorf("rounds: %v, %v", first, second)
	}
	round := func(seconds ...float64) (all []sample) {
		for _, s := range seconds {
			all = append(all, sample{Seconds: s, ClientCPUSeconds: s / 2, PeakRSSMiB: 20})
		}
		return all
	}
	rows := []row{summarize(o, systemPlain, round(1, 9, 2)), summarize(o, systemRetries, round(1.25, 9, 2.5))}
	relate(rows)
	if *rows[0].RatioToPlain != 1 || *rows[1].RatioToPlain != 0.8 || *rows[1].CPURatioToPlain != 1.25 {
		t.Errorf("got %v, %v and %v", *rows[0].RatioToPlain, *rows[1].RatioToPlain, *rows[1].CPURatioToPlain)
	}
	var out bytes.Buffer
	if err := table(&out, rows); err != nil {
		t.Fatal(err)
	}
	golden(t, "plain.txt", out.String())
	if _, err := parse([]string{"latency", "-vs", "plain"}, new(bytes.Buffer)); err == nil {
		t.Error("latency -vs plain was taken")
	}
}

func TestTable(t *testing.T) {
	var noop, latency bytes.Buffer
	if err := table(&noop, measured(t, "noop")); err != nil {
		t.Fatal(err)
	}
	golden(t, "noop.txt", noop.String())
	rows := measured(t, "latency", "-high", "1000")[1:]
	rows[0].RatioToRaw, rows[0].CPURatioToRaw, rows[0].BrokerCPU = nil, nil, nil
	if err := table(&latency, rows); err != nil {
		t.Fatal(err)
	}
	golden(t, "latency.txt", latency.String())
}

// The names are those of contract.md; scripts read them.
func TestJSON(t *testing.T) {
	var got bytes.Buffer
	enc := json.NewEncoder(&got)
	for _, r := range measured(t, "noop") {
		if err := enc.Encode(r); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "noop.jsonl", got.String())
	var fields map[string]any
	if err := json.Unmarshal(got.Bytes()[:bytes.IndexByte(got.Bytes(), '\n')], &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"system", "scenario", "n", "seconds", "msgs_per_s", "client_cpu_us_per_msg", "peak_rss_mib", "peak_in_flight", "ratio_to_raw",
	} {
		if _, ok := fields[name]; !ok {
			t.Errorf("no field %q", name)
		}
	}
}

func TestRelateWithoutRaw(t *testing.T) {
	rows := []row{{System: systemActors, MsgsPerS: 5}}
	relate(rows)
	if rows[0].RatioToRaw != nil || rows[0].CPURatioToRaw != nil {
		t.Error("a ratio to something that was not measured")
	}
}

func TestViolations(t *testing.T) {
	for _, c := range []struct {
		name string
		row  row
		want string
	}{
		{"at high", row{System: systemActors, High: 10, PeakInFlight: 10, PeakRunning: 10}, ""},
		{"above high", row{System: systemActors, High: 10, PeakInFlight: 11}, "11 deliveries were in flight, high is 10"},
		{"miscounted", row{System: systemActors, High: 10, PeakInFlight: 8, PeakRunning: 9}, "9 handlers ran at once, but only 8 deliveries were counted"},
		{"raw has no high", row{System: systemRaw, High: 10, PeakInFlight: 11}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			if err := c.row.violations(); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestMedian(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-1e6, 1e6), 1, 20).Draw(t, "values")
		got := median(values, func(v float64) float64 { return v })
		below, above := 0, 0
		for _, v := range values {
			if v < got {
				below++
			}
			if v > got {
				above++
			}
		}
		if half := len(values) / 2; below > half || above > half {
			t.Errorf("median %v of %v: %d are below and %d above", got, values, below, above)
		}
		if len(values)%2 == 1 && !slices.Contains(values, got) {
			t.Errorf("median %v is not one of %v", got, values)
		}
	})
}

func TestParseHWM(t *testing.T) {
	got, err := parseHWM("Name:\tbench\nVmPeak:\t  999 kB\nVmHWM:\t   1234 kB\nVmRSS:\t 1 kB\n")
	if err != nil || got != 1234<<10 {
		t.Errorf("got %d, %v, want %d", got, err, 1234<<10)
	}
	for _, status := range []string{"", "VmHWM:\tmuch kB\n"} {
		if _, err := parseHWM(status); err == nil {
			t.Errorf("%q: no error", status)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		args            string
		n, runs         int
		high, low       int
		systems, errors string
	}{
		{args: "noop", n: 100_000, runs: 3, high: 1000, low: 500, systems: "raw magne-actors"},
		{args: "latency", n: 10_000, runs: 1, high: 10_000, low: 5000, systems: "raw magne-actors"},
		{args: "latency -n 7", n: 7, runs: 1, high: 7, low: 4, systems: "raw magne-actors"},
		{args: "latency -high 1000 -low 400 -vs none", n: 10_000, runs: 1, high: 1000, low: 400, systems: "magne-actors"},
		{args: "noop --smoke", n: 2000, runs: 1, high: 1000, low: 500, systems: "raw magne-actors"},
		{args: "noop --smoke -n 5 -runs 2", n: 5, runs: 2, high: 1000, low: 500, systems: "raw magne-actors"},
		{args: "noop -high 1", n: 100_000, runs: 3, high: 1, low: 0, systems: "raw magne-actors"},
		{args: "", errors: "which scenario?"},
		{args: "nope", errors: `unknown scenario "nope"`},
		{args: "-n 3", errors: `unknown scenario "-n"`},
		{args: "noop extra", errors: `unexpected argument "extra"`},
		{args: "noop -n 0 -vs celery -o xml", errors: "-n 0: want at least 1\n-vs \"celery\": want raw, plain or none\n-o \"xml\": want text or json"},
		{args: "noop -high 5 -low 5", errors: "-low 5: want less than -high (5)"},
		{args: "noop -x", errors: "not defined: -x"},
	} {
		t.Run(c.args, func(t *testing.T) {
			o, err := parse(strings.Fields(c.args), new(bytes.Buffer))
			if c.errors != "" {
				if err == nil || !strings.Contains(err.Error(), c.errors) {
					t.Fatalf("got %v, want %q", err, c.errors)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if o.n != c.n || o.runs != c.runs || o.high != c.high || o.low != c.low || strings.Join(o.systems(), " ") != c.systems {
				t.Errorf("got n %d runs %d high %d low %d %v, want %+v", o.n, o.runs, o.high, o.low, o.systems(), c)
			}
		})
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"-h"}, {"noop", "-h"}} {
		var out, errOut bytes.Buffer
		if code := run(t.Context(), args, &out, &errOut); code != exitOK || !strings.Contains(errOut.String(), "usage: go run ./bench SCENARIO") {
			t.Errorf("%v: exit status %d, stderr %q", args, code, &errOut)
		}
	}
	var out, errOut bytes.Buffer
	if code := run(t.Context(), []string{"noop", "-n", "x"}, &out, &errOut); code != exitUsage {
		t.Errorf("exit status %d, want %d", code, exitUsage)
	}
}

func TestNoopMessageHas100Bytes(t *testing.T) {
	for _, i := range []int{0, 99_999_999} {
		raw, err := codec.JSON{}.Encode(noopMessage(i))
		if err != nil {
			t.Fatal(err)
		}
		if len(raw.Body) != noopBody {
			t.Errorf("message %d: %d bytes, want %d: %s", i, len(raw.Body), noopBody, raw.Body)
		}
		if m, err := (codec.JSON{}).Decode(raw); err != nil || m.Name != "noop" {
			t.Errorf("message %d: decoded as %v, %v", i, m, err)
		}
	}
}

func TestDrawsAreTheSameForEverybody(t *testing.T) {
	if diff := cmp.Diff(draws(100), draws(100)); diff != "" {
		t.Error(diff)
	}
	next, want := drawer(3), draws(3)
	for i := range 5 {
		if got := next(); got != want[i%3] {
			t.Errorf("draw %d is %v, want %v", i, got, want[i%3])
		}
	}
}

func TestIdealLatency(t *testing.T) {
	if got := idealLatency(10_000, 10_000); got != 10*time.Second {
		t.Errorf("all at once: %v, want that of the longest task, 10s", got)
	}
	// 10,000 tasks of 2.65 s on average, 1000 at once.
	if got := idealLatency(10_000, 1000); got < 26*time.Second || got > 27*time.Second {
		t.Errorf("a tenth at once: %v, want about 26.5s", got)
	}
}

func TestIdealWait(t *testing.T) {
	var sum, longest time.Duration
	for _, u := range draws(100) {
		d := builtin.LatencyDuration(u)
		sum, longest = sum+d, max(longest, d)
	}
	if got := idealWait(100, 1); got != sum {
		t.Errorf("one after the other: %v, want %v", got, sum)
	}
	if got := idealWait(100, 100); got != longest {
		t.Errorf("all at once: %v, want %v", got, longest)
	}
	if got := idealWait(100, 8); got < sum/8 || got > sum/8+longest {
		t.Errorf("on 8 slots: %v, want from %v to %v", got, sum/8, sum/8+longest)
	}
}

func TestProgress(t *testing.T) {
	var plain, terminal bytes.Buffer
	p := &progress{out: &plain}
	p.say("filling %s", "q")
	p.count("filling", 5, 10) // too soon after the last line
	p.clear()
	if got, want := plain.String(), "filling q\n"; got != want {
		t.Errorf("plain: got %q, want %q", got, want)
	}
	p = &progress{out: &terminal, terminal: true}
	p.say("filling")
	p.count("filling", 5, 10)
	p.clear()
	want := "\r\x1b[Kfilling\r\x1b[Kfilling: 5 of 10 after 0.0 s\r\x1b[K"
	if got := terminal.String(); got != want {
		t.Errorf("terminal: got %q, want %q", got, want)
	}
}
