package routing_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/routing"
)

// naive is the definition of a match.
func naive(binding, key []string) bool {
	switch {
	case len(binding) == 0:
		return len(key) == 0
	case binding[0] == "#":
		return naive(binding[1:], key) || len(key) > 0 && naive(binding, key[1:])
	case len(key) == 0:
		return false
	}
	return (binding[0] == "*" || binding[0] == key[0]) && naive(binding[1:], key[1:])
}

func words(key string) []string {
	if key == "" {
		return nil
	}
	return strings.Split(key, ".")
}

func FuzzTopic(f *testing.F) {
	for _, s := range [][2]string{
		{"", ""},
		{"#", ""},
		{"*", ""},
		{"*.#", "a"},
		{"#.#", "a.b"},
		{"a.#.b", "a.b"},
		{"a.#.b", "a.x.y.b"},
		{"a.*", "a."},
		{".", "."},
		{"#.a.#", "b.a"},
		{"*.*", "a"},
		{"a#", "a#"},
		{"#", "#.*"},
		{"*", "#"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, binding, key string) {
		if strings.Count(binding, "#") > 4 || len(key) > 40 {
			t.Skip() // naive takes too long
		}
		if got, want := routing.TopicMatches(binding, key), naive(words(binding), words(key)); got != want {
			t.Errorf("binding %q, key %q: got %v, want %v", binding, key, got, want)
		}
	})
}

func TestTopicExchange(t *testing.T) {
	word := rapid.SampledFrom([]string{"a", "b", "", "*", "#"})
	key := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(word, 0, 5).Draw(t, "words"), ".")
	})
	rapid.Check(t, func(t *rapid.T) {
		table := routing.New[string]()
		bound := map[string][]string{} // by queue
		for _, q := range []string{"p", "q", "r"} {
			table = table.AddQueue(q, q, false)
		}
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			q := rapid.SampledFrom([]string{"p", "q", "r"}).Draw(t, "queue")
			b := routing.Binding{Source: "amq.topic", Destination: q, Key: key.Draw(t, "binding")}
			has := slices.Contains(bound[q], b.Key)
			if rapid.Bool().Draw(t, "bind") {
				next, added, err := table.Bind(b, nil)
				if added == has || err != nil {
					t.Fatalf("Bind(%v): added %v, error %v", b, added, err)
				}
				table = next
				if !has {
					bound[q] = append(bound[q], b.Key)
				}
			} else {
				next, change, err := table.Unbind(b, nil)
				if (len(change.Unbound) == 1) != has || err != nil {
					t.Fatalf("Unbind(%v): %v, error %v", b, change, err)
				}
				table = next
				bound[q] = slices.DeleteFunc(bound[q], func(k string) bool { return k == b.Key })
			}
		}
		for range 10 {
			k := key.Draw(t, "key")
			var want []string
			for _, q := range []string{"p", "q", "r"} {
				if slices.ContainsFunc(bound[q], func(b string) bool { return naive(words(b), words(k)) }) {
					want = append(want, q)
				}
			}
			got, ok := table.Route(nil, routing.Message{Exchange: "amq.topic", Key: k})
			slices.Sort(got)
			if !ok || !slices.Equal(got, want) {
				t.Fatalf("key %q with %v: got %v, want %v", k, bound, got, want)
			}
		}
	})
}

// A key made to keep a matcher busy that tries one way after the other.
func TestTopicTakesNoExponentialTime(t *testing.T) {
	binding := strings.Repeat("#.a.", 60) + "b"
	key := strings.Repeat("a.", 120) + "c"
	if routing.TopicMatches(binding, key) {
		t.Error("matches")
	}
}
