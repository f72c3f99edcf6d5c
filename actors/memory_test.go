package actors

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"
)

// TestMemory: what is recalled, line by line.
func TestMemory(t *testing.T) {
	m, now := newMemory(4), time.Unix(0, 0)
	sources := map[string]*source{}
	from := func(name string) *source {
		if sources[name] == nil {
			sources[name] = new(source)
		}
		return sources[name]
	}
	datadriven.RunTest(t, "testdata/memory", func(t *testing.T, d *datadriven.TestData) string {
		var out strings.Builder
		for line := range strings.Lines(d.Input) {
			w := strings.Fields(line)
			k, sum := key{}, uint64(1)
			if len(w) > 1 {
				k = key{id: w[1], attempt: 1}
			}
			switch w[0] {
			case "new":
				m, now = newMemory(4), time.Unix(0, 0)
			case "wait":
				d, err := time.ParseDuration(w[1])
				if err != nil {
					t.Fatal(err)
				}
				now = now.Add(d)
			case "acked":
				m.acked(k, sum, from(w[2]), now)
			case "lost":
				m.lost(from(w[1]), now)
			case "closed":
				m.closed(from(w[1]))
			case "unsent":
				m.unsent(k, sum, verdict{action: retryIt}, now)
			case "copied":
				m.copied(k, sum)
			case "unrun":
				m.forget(k)
			case "consumer":
				m.arrived(from(w[1]), now)
			case "size":
				n, _ := strconv.Atoi(w[1])
				m.resize(n)
			case "fresh", "again", "other":
				if w[0] == "other" {
					sum = 2
				}
				v, ok := m.recall(k, w[0] != "fresh", func() uint64 { return sum }, now)
				fmt.Fprintf(&out, "%s: %s\n", strings.Join(w, " "), map[action]string{0: "run", ackIt: "ack", retryIt: "retry"}[v.action])
				if ok != (v.action != 0) {
					t.Errorf("%v with %+v", ok, v)
				}
			default:
				t.Fatalf("what is %q?", w[0])
			}
		}
		return out.String()
	})
}

// TestMemoryProperties: a message is recalled only if one like it is done, never more
// often than that, and never a new one.
func TestMemoryProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, now := newMemory(rapid.IntRange(1, 6).Draw(t, "limit")), time.Unix(0, 0)
		live := []*source{new(source)}
		results := map[key]int{}
		id := rapid.Custom(func(t *rapid.T) key {
			return key{id: rapid.StringOf(rapid.RuneFrom([]rune("ab"))).Draw(t, "id"), attempt: 1}
		})
		pick := rapid.Custom(func(t *rapid.T) *source { return live[rapid.IntRange(0, len(live)-1).Draw(t, "source")] })
		sum := func() uint64 { return 1 }
		t.Repeat(map[string]func(*rapid.T){
			"acked":  func(t *rapid.T) { k := id.Draw(t, "k"); m.acked(k, 1, pick.Draw(t, "s"), now); results[k]++ },
			"unsent": func(t *rapid.T) { k := id.Draw(t, "k"); m.unsent(k, 1, verdict{action: ackIt}, now); results[k]++ },
			"lost": func(t *rapid.T) {
				m.lost(pick.Draw(t, "s"), now)
				live = append(live, new(source))
			},
			"arrived": func(t *rapid.T) { m.arrived(pick.Draw(t, "s"), now) },
			"forget":  func(t *rapid.T) { m.forget(id.Draw(t, "k")) },
			"wait":    func(t *rapid.T) { now = now.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "s")) * time.Second) },
			"resize":  func(t *rapid.T) { m.resize(rapid.IntRange(1, 6).Draw(t, "limit")) },
			"fresh": func(t *rapid.T) {
				if _, ok := m.recall(id.Draw(t, "k"), false, sum, now); ok {
					t.Fatal("a new message is recalled")
				}
			},
			"other": func(t *rapid.T) {
				if _, ok := m.recall(id.Draw(t, "k"), true, func() uint64 { return 2 }, now); ok {
					t.Fatal("a message with other contents is recalled")
				}
			},
			"again": func(t *rapid.T) {
				k := id.Draw(t, "k")
				if _, ok := m.recall(k, true, sum, now); ok {
					if results[k]--; results[k] < 0 {
						t.Fatalf("%v is recalled more often than it is done", k)
					}
				}
			},
			"": func(t *rapid.T) {
				if len(m.recent) > m.limit || len(m.kept) > maxKept || len(m.order) > 2*len(m.kept)+minRecent {
					t.Fatalf("%d recent of %d, %d kept, %d in order", len(m.recent), m.limit, len(m.kept), len(m.order))
				}
			},
		})
	})
}

// TestWhatIsKeptIsBounded: the oldest go first.
func TestWhatIsKeptIsBounded(t *testing.T) {
	m := newMemory(1)
	for i := range maxKept + 10 {
		m.unsent(key{id: strconv.Itoa(i)}, 1, verdict{action: ackIt}, time.Unix(0, 0))
	}
	sum := func() uint64 { return 1 }
	if _, ok := m.recall(key{id: "9"}, true, sum, time.Unix(0, 0)); ok || len(m.kept) != maxKept {
		t.Errorf("%d are kept, the tenth of them: %v", len(m.kept), ok)
	}
	if _, ok := m.recall(key{id: "10"}, true, sum, time.Unix(0, 0)); !ok {
		t.Error("the eleventh is forgotten")
	}
}
