package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"strings"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestLogsAreAHandler: what is remembered is what slog's contract wants logged.
func TestLogsAreAHandler(t *testing.T) {
	var logs *Logs
	slogtest.Run(t, func(*testing.T) slog.Handler {
		logs = NewLogs(wants{slog.DiscardHandler})
		return logs.Handler()
	}, func(t *testing.T) map[string]any {
		list := logs.After(0)
		if len(list) != 1 {
			t.Fatalf("got %d entries, want 1", len(list))
		}
		m := map[string]any{slog.LevelKey: list[0].Level, slog.MessageKey: list[0].Message}
		if !list[0].Time.IsZero() {
			m[slog.TimeKey] = list[0].Time
		}
		for _, a := range list[0].Attrs {
			in := m
			names := strings.Split(a.Key, ".")
			for _, group := range names[:len(names)-1] {
				if in[group] == nil {
					in[group] = map[string]any{}
				}
				in = in[group].(map[string]any)
			}
			in[names[len(names)-1]] = a.Value
		}
		return m
	})
}

// secret hides itself from a log, as the secrets of a configuration do.
type secret string

func (secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// TestLogsKeepText: nothing that is alive, nothing secret, nothing too long, and
// all of it has a form in JSON.
func TestLogsKeepText(t *testing.T) {
	var next bytes.Buffer
	logs := NewLogs(slog.NewTextHandler(&next, nil))
	log := slog.New(logs.Handler()).With("pool", "mail")
	log.Debug("not wanted")
	log.Info("all kinds", "n", 7, "u", uint64(8), "f", 0.5, "inf", math.Inf(1), "yes", true, "took", 1500*time.Millisecond,
		"at", time.Unix(0, 0).UTC(), "err", errors.New("boom"), "token", secret("hunter2"), "bad", "\xff",
		"long", strings.Repeat("x", keepValue+1), "any", struct{ A int }{1})
	if !strings.Contains(next.String(), "all kinds") || strings.Contains(next.String(), "not wanted") {
		t.Errorf("the next handler got %q", next.String())
	}
	text, err := json.Marshal(logs.After(0))
	if err != nil {
		t.Fatal(err)
	}
	var got []Entry
	if err := json.Unmarshal(text, &got); err != nil || len(got) != 1 {
		t.Fatalf("got %d entries, %v, want 1", len(got), err)
	}
	want := Attrs{
		{"pool", "mail"},
		{"n", json.Number("7")},
		{"u", json.Number("8")},
		{"f", json.Number("0.5")},
		{"inf", "+Inf"},
		{"yes", true},
		{"took", "1.5s"},
		{"at", "1970-01-01T00:00:00Z"},
		{"err", "boom"},
		{"token", "[redacted]"},
		{"bad", "\uFFFD"},
		{"long", strings.Repeat("x", keepValue) + "…"},
		{"any", "{1}"},
	}
	if diff := cmp.Diff(want, got[0].Attrs); diff != "" || got[0].Seq != 1 || got[0].Message != "all kinds" {
		t.Errorf("entry %d %q, -want +got:\n%s", got[0].Seq, got[0].Message, diff)
	}
}

func TestLogsAreBounded(t *testing.T) {
	logs := NewLogs(wants{slog.DiscardHandler})
	log := slog.New(logs.Handler())
	for range keepEntries + 1 {
		log.Info("x")
	}
	if list := logs.After(0); len(list) != keepEntries || list[0].Seq != 2 {
		t.Errorf("got %d entries from %d, want %d from 2", len(list), list[0].Seq, keepEntries)
	}
	for range keepBytes / keepValue {
		log.Info("x", "v", strings.Repeat("x", keepValue))
	}
	if n := len(logs.After(0)); n != keepBytes/keepValue-1 { // the keys have bytes, too
		t.Errorf("got %d large entries, want %d", n, keepBytes/keepValue-1)
	}
	if list := (*Logs)(nil).After(0); list == nil || len(list) != 0 {
		t.Errorf("of no Logs: got %v", list)
	}
}

func TestWhichNodeAnEntryConcerns(t *testing.T) {
	for _, tt := range []struct {
		key, value string
		nodes      string // that it concerns
	}{
		{"actor", "mail/3", "mail pool:mail mail/3"},
		{"worker", "mail/3", "mail pool:mail mail/3"},
		{"slot", "mail/30", "mail pool:mail"},
		{"actor", "router:mail", "mail router:mail"},
		{"pool", "mail", "mail pool:mail router:mail"},
		{"actor", "mail", "mail"},
		{"child", "mail2/3", ""},
		{"id", "broker", "broker"},
		{"queue", "mail", ""},
	} {
		var got []string
		for _, node := range []string{"mail", "pool:mail", "router:mail", "mail/3", "broker"} {
			if (Attrs{{"n", 1}, {tt.key, tt.value}}).concerns(node) {
				got = append(got, node)
			}
		}
		if strings.Join(got, " ") != tt.nodes {
			t.Errorf("%s=%s: got %q, want %q", tt.key, tt.value, got, tt.nodes)
		}
	}
}

func TestAttrsThatAreNone(t *testing.T) {
	for _, text := range []string{"[]", "1", "null", `"x"`, `{"a":`, `{"a":1,`} {
		var as Attrs
		if err := as.UnmarshalJSON([]byte(text)); err == nil {
			t.Errorf("%s: got %v", text, as)
		}
	}
}

// BenchmarkLogsKeep is the cost that a Logs adds to a record.
func BenchmarkLogsKeep(b *testing.B) {
	log := slog.New(NewLogs(wants{slog.DiscardHandler}).Handler()).With("pool", "mail")
	b.ReportAllocs()
	for b.Loop() {
		log.Info("attempt failed", "task_id", "7", "attempt", 2, "retry_in", time.Second)
	}
}

// wants is a handler that is enabled.
type wants struct{ slog.Handler }

func (wants) Enabled(context.Context, slog.Level) bool { return true }
func (w wants) WithAttrs([]slog.Attr) slog.Handler     { return w }
func (w wants) WithGroup(string) slog.Handler          { return w }
