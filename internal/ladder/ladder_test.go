package ladder

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/broker"
)

// world is the ladder as a broker would have it.
type world struct {
	bindings map[string][]broker.Binding // by exchange
	queues   map[string]broker.Queue
	other    map[string]string // alternate exchanges
}

func build(ts ...broker.Topology) *world {
	w := &world{map[string][]broker.Binding{}, map[string]broker.Queue{}, map[string]string{}}
	for _, t := range ts {
		for _, x := range t.Exchanges {
			if to, ok := x.Args["alternate-exchange"].(string); ok {
				w.other[x.Name] = to
			}
		}
		for _, q := range t.Queues {
			w.queues[q.Name] = q
		}
		for _, b := range t.Bindings {
			w.bindings[b.Exchange] = append(w.bindings[b.Exchange], b)
		}
	}
	return w
}

// match is RabbitMQ's: * stands for one word, # for any number of them.
func match(pattern, key []string) bool {
	if len(pattern) == 0 {
		return len(key) == 0
	}
	if pattern[0] == "#" {
		return match(pattern[1:], key) || len(key) > 0 && match(pattern, key[1:])
	}
	return len(key) > 0 && (pattern[0] == "*" || pattern[0] == key[0]) && match(pattern[1:], key[1:])
}

// route returns the queues that an exchange leads to.
func (w *world) route(exchange, key string) []string {
	var found []string
	for _, b := range w.bindings[exchange] {
		if exchange != UndeliveredExchange && !match(strings.Split(b.Key, "."), strings.Split(key, ".")) {
			continue
		}
		if b.ToExchange != "" {
			found = append(found, w.route(b.ToExchange, key)...)
		} else {
			found = append(found, b.Queue)
		}
	}
	if len(found) == 0 && w.other[exchange] != "" {
		return w.route(w.other[exchange], key)
	}
	return found
}

// follow returns the queues that a message waits in, and for how long in all.
func (w *world) follow(t interface{ Fatalf(string, ...any) }, exchange, key string) (path []string, total time.Duration) {
	for range Levels + 2 {
		found := w.route(exchange, key)
		if len(found) != 1 {
			t.Fatalf("exchange %s leads %s to %q, want one queue", exchange, key, found)
		}
		path = append(path, found[0])
		q := w.queues[found[0]]
		next, waits := q.Args["x-dead-letter-exchange"].(string)
		if !waits {
			return path, total
		}
		total += time.Duration(q.Args["x-message-ttl"].(int64)) * time.Millisecond
		exchange = next
	}
	t.Fatalf("no end: %q", path)
	return nil, 0
}

func genQueue() *rapid.Generator[string] {
	return rapid.StringMatching(`[a-zA-Z0-9_-]{1,8}(\.[a-f0-9]{1,4}){0,9}`)
}

func genDelay() *rapid.Generator[time.Duration] {
	return rapid.OneOf(
		rapid.Custom(func(t *rapid.T) time.Duration { return time.Duration(rapid.Int64Range(0, int64(Max)).Draw(t, "ns")) }),
		rapid.Custom(func(t *rapid.T) time.Duration { // few digits
			var u int64
			for range rapid.IntRange(0, 2).Draw(t, "digits") {
				u |= rapid.Int64Range(0, 15).Draw(t, "digit") << (4 * rapid.IntRange(0, Levels-1).Draw(t, "level"))
			}
			return time.Duration(u) * Unit
		}),
	)
}

// TestRoute: the times on the path add up to the delay, rounded up, and the path ends
// in the queue.
func TestRoute(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		delay, queue := genDelay().Draw(t, "delay"), genQueue().Draw(t, "queue")
		w := build(Topology(), Exit(queue))
		exchange, key := Route(delay, queue)
		path, total := w.follow(t, exchange, key)
		if want := (delay + Unit - 1) / Unit * Unit; total != want || path[len(path)-1] != queue {
			t.Errorf("%v: got %v by %q, want %v", delay, total, path, want)
		}
		if len(path) > Levels+1 || len(key) > maxKey {
			t.Errorf("%v: %d hops, key of %d bytes", delay, len(path)-1, len(key))
		}
		back, name, ok := Parse(key)
		if !ok || back != total || name != queue {
			t.Errorf("Parse(%q) = %v, %q, %v", key, back, name, ok)
		}
	})
}

// TestRouteRetry: one queue, none too early, and none by more than twice as late.
func TestRouteRetry(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		delay, queue := genDelay().Draw(t, "delay"), genQueue().Draw(t, "queue")
		w := build(Topology(), Exit(queue))
		exchange, key := RouteRetry(delay, queue)
		path, total := w.follow(t, exchange, key)
		switch {
		case total != RetryDelay(delay):
			t.Errorf("%v: path takes %v, RetryDelay says %v", delay, total, RetryDelay(delay))
		case len(path) > 2 || path[len(path)-1] != queue:
			t.Errorf("%v: path %q", delay, path)
		case total < delay && total != Wait(Levels-1, base-1) || total > 2*delay && total != Unit && delay > 0:
			t.Errorf("%v: waits %v", delay, total)
		}
	})
}

func TestRouteLimits(t *testing.T) {
	for _, c := range []struct {
		delay         time.Duration
		exchange, key string
	}{
		{-time.Hour, "magne.v1.delay.0", "0.0.0.0.0.0.0.q"},
		{0, "magne.v1.delay.0", "0.0.0.0.0.0.0.q"},
		{1, "magne.v1.delay.0", "0.0.0.0.0.0.1.q"},
		{Unit, "magne.v1.delay.0", "0.0.0.0.0.0.1.q"},
		{Unit + 1, "magne.v1.delay.0", "0.0.0.0.0.0.2.q"},
		{16 * Unit, "magne.v1.delay.1", "0.0.0.0.0.1.0.q"},
		{Max, "magne.v1.delay.6", "f.f.f.f.f.f.f.q"},
		{1<<63 - 1, "magne.v1.delay.6", "f.f.f.f.f.f.f.q"},
	} {
		if exchange, key := Route(c.delay, "q"); exchange != c.exchange || key != c.key {
			t.Errorf("Route(%v) = %s %s, want %s %s", c.delay, exchange, key, c.exchange, c.key)
		}
	}
	for delay, want := range map[time.Duration]time.Duration{
		-1: 0, 0: 0, 1: Unit, 15 * Unit: 15 * Unit, 15*Unit + 1: 16 * Unit, 17 * Unit: 32 * Unit,
		(15*16 + 1) * Unit: 256 * Unit, Max: Wait(6, 15), 1<<63 - 1: Wait(6, 15),
	} {
		if got := RetryDelay(delay); got != want {
			t.Errorf("RetryDelay(%v) = %v, want %v", delay, got, want)
		}
	}
	if Max < 366*24*time.Hour {
		t.Errorf("Max is %v, a year does not fit", Max)
	}
}

// TestMissing: what has no queue ends where it can be found, from wherever it comes.
func TestMissing(t *testing.T) {
	w := build(Topology(), Exit("orders"))
	for _, queue := range []string{"order", "orders.eu", "0.orders", "eu.orders"} {
		for _, delay := range []time.Duration{0, time.Second, time.Hour} {
			exchange, key := Route(delay, queue)
			if path, total := w.follow(t, exchange, key); path[len(path)-1] != UndeliveredQueue || total != delay {
				t.Errorf("%s in %v: got %v by %q", queue, delay, total, path)
			}
		}
	}
}

func TestRoutable(t *testing.T) {
	for _, good := range []string{"a", "MAGNE_LATENCY_BENCH", "orders.eu.0", "a*b", "x#", strings.Repeat("q", 241)} {
		if err := Routable(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", ".", "a.", ".a", "a..b", "*", "a.*", "#.b", strings.Repeat("q", 242)} {
		if err := Routable(bad); !errors.Is(err, ErrName) {
			t.Errorf("%q: got %v, want ErrName", bad, err)
		}
	}
}

func TestParseOthers(t *testing.T) {
	for _, key := range []string{"", "orders", "0.0.0.0.0.0.0.", "0.0.0.0.0.0.orders", "0.0.0.0.0.0.g.q", "00.0.0.0.0.0.0.q", "A.0.0.0.0.0.0.q"} {
		if d, q, ok := Parse(key); ok {
			t.Errorf("Parse(%q) = %v, %q", key, d, q)
		}
	}
}

// TestQueues: the queues of the topology are those that DelayQueue names.
func TestQueues(t *testing.T) {
	var names []string
	for _, q := range Topology().Queues[1:] {
		names = append(names, q.Name)
	}
	var want []string
	for level := range Levels {
		for digit := 1; digit < base; digit++ {
			want = append(want, DelayQueue(level, digit))
		}
	}
	if !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
}
