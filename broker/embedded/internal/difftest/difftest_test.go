package difftest

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/broker/embedded"
	"github.com/magne-actors/magne-actors/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m).Run()) }

// sequences sets how many sequences rapid.Check runs.
func sequences(t *testing.T, byDefault string) {
	t.Helper()
	n := os.Getenv("MAGNE_DIFF_SEQUENCES")
	if n == "" {
		n = byDefault
	}
	// The seed says what failed; files would have to be cleared away.
	setFlag(t, "rapid.nofailfile", "true")
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == "rapid.checks" })
	if set {
		return
	}
	setFlag(t, "rapid.checks", n)
}

func setFlag(t *testing.T, name, value string) {
	t.Helper()
	v := flag.Lookup(name).Value
	old := v.String()
	if err := v.Set(value); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Set(old) })
}

func rabbit(t *testing.T) broker {
	u, err := url.Parse(testenv.RabbitMQ(t))
	if err != nil {
		t.Fatal(err)
	}
	return broker{vhost: "/", dial: func() (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(context.Background(), "tcp", u.Host)
	}}
}

// otherHost is another virtual host of the same node.
func otherHost(t *testing.T) broker {
	b, node := rabbit(t), testenv.SharedNode(t)
	b.vhost = strings.ToLower(t.Name())
	for _, args := range [][]string{
		{"add_vhost", b.vhost}, {"set_permissions", "-p", b.vhost, "guest", ".*", ".*", ".*"},
	} {
		if out, err := node.Ctl(t.Context(), args...); err != nil {
			t.Fatal(out, err)
		}
	}
	return b
}

// compare runs random sequences on two brokers.
func compare(t *testing.T, quorum bool, one, other broker) {
	a, b := &world{broker: one}, &world{broker: other}
	t.Cleanup(func() {
		for _, w := range []*world{a, b} {
			for _, c := range w.clients {
				if c != nil {
					_ = c.nc.Close()
				}
			}
		}
	})
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		ops := sequence(t, quorum)
		type result struct {
			trace []string
			err   error
		}
		once := func() (x, y result) {
			run++
			results := make(chan result)
			go func() {
				trace, err := b.run(fmt.Sprintf("b%d.", run), quorum, ops)
				results <- result{trace, err}
			}()
			x.trace, x.err = a.run(fmt.Sprintf("a%d.", run), quorum, ops)
			return x, <-results
		}
		x, y := once()
		// On a busy machine RabbitMQ differs from itself now and then: something
		// comes an operation later. What is a difference is one each time.
		for again := 0; again < 3 && x.err == nil && y.err == nil && difference(x.trace, y.trace) >= 0; again++ {
			x, y = once()
		}
		if x.err != nil || y.err != nil {
			t.Fatalf("first: %v\nsecond: %v\n%s", x.err, y.err, strings.Join(x.trace, "\n"))
		}
		if i := difference(x.trace, y.trace); i >= 0 {
			t.Fatalf("%s\n\nfirst:  %s\nsecond: %s", strings.Join(x.trace[:i], "\n"), line(x.trace, i), line(y.trace, i))
		}
	})
}

func difference(a, b []string) int {
	if slices.Equal(a, b) {
		return -1
	}
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	return i
}

// line returns what a trace has from line i on, up to the next operation.
func line(trace []string, i int) string {
	if i >= len(trace) {
		return "(nothing)"
	}
	end := i + 1
	for end < len(trace) && strings.HasPrefix(trace[end], "    ") {
		end++
	}
	return strings.Join(trace[i:end], "\n        ")
}

// TestRabbitMQIsLikeItself proves the test: what differs here is not decided.
func TestRabbitMQIsLikeItself(t *testing.T) {
	for name, quorum := range map[string]bool{"classic": false, "quorum": true} {
		t.Run(name, func(t *testing.T) {
			sequences(t, "50")
			compare(t, quorum, rabbit(t), otherHost(t))
		})
	}
}

// embeddedBroker is one in this process, which keeps its messages on disk.
func embeddedBroker(t *testing.T) broker {
	b, err := embedded.Open(embedded.Options{Dir: t.TempDir(), Heartbeat: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return broker{vhost: "/", dial: func() (net.Conn, error) { return b.Dial(context.Background()) }}
}

// TestSameAsRabbitMQ is what this package is for.
func TestSameAsRabbitMQ(t *testing.T) {
	for name, quorum := range map[string]bool{"classic": false, "quorum": true} {
		t.Run(name, func(t *testing.T) {
			n := "200"
			if quorum {
				n = "20" // its queues take a while
			}
			sequences(t, n)
			compare(t, quorum, rabbit(t), embeddedBroker(t))
		})
	}
}
