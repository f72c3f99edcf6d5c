package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// URLVariable names the environment variable with the URL of a broker that tests
// shall use instead of a private node.
const URLVariable = "MAGNE_TEST_AMQP_URL"

// shared is the node of this test binary. It is the one variable of the package:
// tests of one binary have nothing else in common that could hold it.
var shared struct {
	once sync.Once
	node *Node
	err  error
}

// RabbitMQ returns the URL of a broker for t: MAGNE_TEST_AMQP_URL, or else that
// of a node which all tests of the binary share. The first call blocks while the
// node boots. Without RabbitMQ it skips t, or fails it when CI=true.
func RabbitMQ(t testing.TB) string {
	t.Helper()
	if url := os.Getenv(URLVariable); url != "" {
		return url
	}
	return SharedNode(t).URL
}

// SharedNode returns the node of RabbitMQ, for tests that need its Ctl. It skips
// t when there is none, also when MAGNE_TEST_AMQP_URL names a foreign broker.
// A test must not stop it: one that wants to starts its own with [Private].
func SharedNode(t testing.TB) *Node {
	t.Helper()
	if os.Getenv(URLVariable) != "" {
		t.Skipf("%s is set: that broker is not ours to control", URLVariable)
	}
	shared.once.Do(func() { shared.node, shared.err = Start(context.Background(), Options{}) })
	check(t, shared.err)
	return shared.node
}

// Private starts a node for t alone, which is stopped when t ends. It skips or
// fails t as RabbitMQ does.
func Private(t testing.TB, o Options) *Node {
	t.Helper()
	n, err := Start(t.Context(), o)
	check(t, err)
	t.Cleanup(func() {
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func check(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, ErrNotInstalled):
		Missing(t, "%v", err)
	default:
		t.Fatal(err)
	}
}

// Missing ends t, for which the machine lacks something that can be installed: it
// fails t when CI=true, where nobody would notice a skip, and skips it elsewhere.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format+": run scripts/install-deps.sh", args...)
	} else {
		t.Skipf(format+": scripts/install-deps.sh installs it", args...)
	}
}

// Program returns the path of a program that t runs. Without it t is ended by
// [Missing].
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(t, "%s is missing", name)
	}
	return path
}

// M runs the tests of a binary and then stops the node that they shared.
type M struct{ tests interface{ Run() int } }

// Main wraps m, which is a *testing.M, for TestMain. The result fits os.Exit by
// its Run and goleak.VerifyTestMain as it is.
func Main(m interface{ Run() int }) M { return M{tests: m} }

// Run runs the tests, stops the shared node and returns the exit code.
func (m M) Run() int {
	code := m.tests.Run()
	if shared.node == nil {
		return code
	}
	if err := shared.node.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

// Name returns a name for a queue or an exchange that is readable, and unique
// over tests, runs and machines that share a broker. The prefix is "test.".
func Name(t testing.TB) string {
	t.Helper()
	test := strings.Map(func(r rune) rune {
		if r == '/' || r == ' ' || r == '#' {
			return '.'
		}
		return r
	}, t.Name())
	return fmt.Sprintf("test.%s.%d.%d", test, os.Getpid(), time.Now().UnixNano())
}
