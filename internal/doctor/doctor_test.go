package doctor_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/config"
	"github.com/magne-actors/magne-actors/internal/doctor"
	"github.com/magne-actors/magne-actors/internal/management"
)

// healthy is what a case adds to: a broker with which all is well. A number of a
// duration is in nanoseconds.
const healthy = `
Pools: [{Name: mail, Queue: mail, Codec: json, Declare: create, High: 100, Unsettled: 60_000_000_000}]
Addresses: [{Address: "amqp://mq/", Path: broker.url}]
Broker: {Product: RabbitMQ, Version: 3.10.8}
Files: {Limit: 20000, Need: 64}
Control: {Socket: /run/magne.sock}
Settings: {ConsumerTimeout: 1_800_000_000_000, ConfirmTimeout: 10_000_000_000}
API: {PoliciesKnown: true}
`

// TestJudge: facts give findings. Those of Info are left out but with "all".
func TestJudge(t *testing.T) {
	datadriven.RunTest(t, "testdata/judge", func(t *testing.T, d *datadriven.TestData) string {
		all := map[string]any{}
		for _, text := range []string{healthy, d.Input} {
			part := map[string]any{}
			if err := yaml.Unmarshal([]byte(text), &part); err != nil {
				t.Fatal(err)
			}
			maps.Copy(all, part)
		}
		text, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		var f doctor.Facts
		dec := json.NewDecoder(strings.NewReader(string(text)))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&f); err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, l := range doctor.Judge(f) {
			if l.Severity == doctor.Info && !d.HasArg("all") {
				continue
			}
			fmt.Fprintf(&b, "%s %s: %s\n", l.Severity, l.Check, l.What)
			if l.Path != "" {
				fmt.Fprintf(&b, "  at %s\n", l.Where())
			}
			if l.Do != "" {
				fmt.Fprintf(&b, "  -> %s\n", l.Do)
			}
		}
		if b.Len() == 0 {
			return "fine\n"
		}
		return b.String()
	})
}

// TestUnknownIsNeverFine: with fewer facts there is never less to say of what is not
// known, and never an error less of what is.
func TestUnknownIsNeverFine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := doctor.Facts{
			Broker:   &doctor.Broker{Product: "RabbitMQ", Version: rapid.SampledFrom([]string{"3.10.8", "3.13.7", "4.0.1", "4.2.0", "4.3.0", "", "x.y"}).Draw(t, "version")},
			API:      &doctor.API{PoliciesKnown: rapid.Bool().Draw(t, "policies")},
			Settings: &doctor.Settings{ConsumerTimeout: new(time.Minute)},
			Pools: []doctor.Pool{{
				Name: "p", Queue: "q", Declare: rapid.SampledFrom([]string{"create", "match", "passive"}).Draw(t, "declare"),
				Unsettled: time.Duration(rapid.IntRange(0, 100).Draw(t, "unsettled")) * time.Second, Delays: rapid.Bool().Draw(t, "delays"),
			}},
		}
		full := doctor.Judge(f)
		f.Settings, f.API = nil, nil
		less := doctor.Judge(f)
		if doctor.Count(less, doctor.Unknown) <= doctor.Count(full, doctor.Unknown) {
			t.Fatalf("without API and settings: %+v", less)
		}
		if !slices.IsSortedFunc(full, func(a, b doctor.Finding) int { return rank(a) - rank(b) }) {
			t.Fatalf("not the worst first: %+v", full)
		}
		for _, l := range slices.Concat(full, less) {
			if l.What == "" || l.Check == "" || l.Severity == doctor.Error && l.Do == "" {
				t.Fatalf("says too little: %+v", l)
			}
		}
	})
}

func rank(f doctor.Finding) int {
	return slices.Index([]doctor.Severity{doctor.Error, doctor.Warning, doctor.Unknown, doctor.Info}, f.Severity)
}

// TestClock: a difference matters beyond what the API's whole seconds can tell.
func TestClock(t *testing.T) {
	for _, tt := range []struct {
		skew time.Duration
		want string
	}{
		{0, "agree to some 3s"},
		{3 * time.Second, "agree"},
		{-90 * time.Second, "the broker's clock is 1m30s behind this machine's"},
		{4 * time.Second, "the broker's clock is 4s ahead of this machine's"},
	} {
		f := doctor.Facts{Broker: &doctor.Broker{Product: "RabbitMQ", Version: "3.10.8"}, API: &doctor.API{
			Overview: &management.Overview{Clock: time.Unix(1, 0)}, Skew: tt.skew, Blur: time.Second,
		}}
		if list := doctor.Judge(f); !slices.ContainsFunc(list, func(l doctor.Finding) bool { return l.Check == "clock" && strings.Contains(l.What, tt.want) }) {
			t.Errorf("%v: got %+v, want %q", tt.skew, list, tt.want)
		}
	}
}

// TestParseSettings: with and without a heading, and with words for no limit.
func TestParseSettings(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{`{"rabbit":{"consumer_timeout":60000,"dead_letter_worker_publisher_confirm_timeout":180000}}`, "1m0s 3m0s"},
		{"Application environment of node ...\n{\"rabbit\":{\"consumer_timeout\":\"undefined\"}}", "0s none"},
		{`{"rabbit":{"consumer_timeout":false}}`, "0s none"},
		{`{"rabbit":{}}`, "none none"},
		{`{"kernel":{}}`, "no application rabbit"},
		{`{`, "unexpected end"},
		{`nothing`, "no JSON"},
	} {
		s, err := doctor.ParseSettings([]byte(tt.text))
		got := fmt.Sprint(err)
		if err == nil {
			got = text(s.ConsumerTimeout) + " " + text(s.ConfirmTimeout)
		}
		if !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %s, want %s", tt.text, got, tt.want)
		}
	}
}

func text(d *time.Duration) string {
	if d == nil {
		return "none"
	}
	return d.String()
}

// TestOf: what a configuration says by itself.
func TestOf(t *testing.T) {
	f, err := config.Parse(strings.NewReader(`{version: 1, broker: {url: "amqp://mq/"}, pools: {
  a: {workers: 3, slots: 5, timeout: 10s, tasks: {t: {http: {url: "http://h/"}}}},
  b: {mode: process, workers: 2, timeout: {hard: 10s, kill_after: 2s}, retry: {delay: memory, max: 1m}, process: {command: [true]}},
  c: {tasks: {t: {builtin: echo}}, retry: {delay: durable}, declare: passive}}}`), "magne.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	facts := doctor.Of(f)
	if facts.Files.Need != 64+15+2*8 {
		t.Errorf("files: got %d", facts.Files.Need)
	}
	want := []string{"a 10s false true", "b 1m0s false false", "c 0s true true"}
	for i, p := range facts.Pools {
		if got := fmt.Sprintf("%s %v %v %v", p.Name, p.Unsettled, p.Durable, p.Delays); got != want[i] {
			t.Errorf("got %s, want %s", got, want[i])
		}
	}
}
