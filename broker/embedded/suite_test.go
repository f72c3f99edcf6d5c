package embedded_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/magne-actors/magne-actors/broker/embedded"
	"github.com/magne-actors/magne-actors/internal/testenv"
)

// suiteVariable asks for TestAMQP091Suite: "embedded" runs it against this
// broker, "rabbitmq" against RabbitMQ, and writes down what passes there.
const suiteVariable = "MAGNE_AMQP091_SUITE"

// TestAMQP091Suite runs amqp091-go's own tests, unmodified, against the broker.
// Those that pass on RabbitMQ 3.10.8 must pass here. scripts/amqp091-suite calls
// it.
func TestAMQP091Suite(t *testing.T) {
	const golden = "testdata/amqp091-suite.txt"
	var url string
	var s suiteBroker
	switch on := os.Getenv(suiteVariable); on {
	case "":
		t.Skip("takes two minutes: scripts/amqp091-suite runs it")
	case "embedded":
		f := &embedded.Faults{}
		b := open(t, embedded.Options{Dir: t.TempDir(), Faults: f})
		url, s = "amqp://guest:guest@"+listen(t, b)+"/", embeddedSuite{b, f}
	case "rabbitmq":
		n := testenv.Private(t, testenv.Options{})
		url, s = n.URL, rabbitSuite{t, n}
	default:
		t.Fatalf("%s=%s: want embedded or rabbitmq", suiteVariable, on)
	}
	manage(t, s)
	results, output := runSuite(t, url, script(t, s.alarm))
	if os.Getenv(suiteVariable) == "rabbitmq" {
		if err := os.WriteFile(golden, []byte(strings.Join(results, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSpace(string(text)), "\n")
	for i, line := range want {
		if result, test, _ := strings.Cut(line, " "); result == "pass" && suiteDifferences[test] != "" {
			want[i] = "fail " + test
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, results); diff != "" {
		t.Errorf("results (-want +got):\n%s\n%s", diff, output)
	}
}

// suiteDifferences are the tests that fail here and not on RabbitMQ, and why.
var suiteDifferences = map[string]string{
	"TestIntegrationTxCommit":   "transactions are refused: 540 NOT_IMPLEMENTED",
	"TestIntegrationTxRollback": "transactions are refused: 540 NOT_IMPLEMENTED",
}

// runSuite returns "pass Test" and so on for the tests that need a broker, and
// the output of those that failed.
func runSuite(t *testing.T, url, ctl string) (results []string, output string) {
	t.Helper()
	dir := copyModule(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-json", "-count=1", "-tags=integration", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "AMQP_URL="+url, "RABBITMQ_RABBITMQCTL_PATH="+ctl, "GOFLAGS=-mod=mod", "GOWORK=off")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, _ := cmd.Output() // which tests failed is in the output
	text := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		var e struct{ Action, Test, Output string }
		if json.Unmarshal([]byte(line), &e) != nil || e.Test == "" {
			continue
		}
		switch e.Action {
		case "output":
			text[e.Test] = append(text[e.Test], e.Output)
		case "pass", "skip", "fail":
			results = append(results, e.Action+" "+e.Test)
			if e.Action == "fail" {
				output += strings.Join(text[e.Test], "")
			}
		}
	}
	if len(results) == 0 {
		t.Fatalf("no results: %s%s", errs.String(), out)
	}
	slices.Sort(results)
	return results, output
}

// copyModule copies amqp091-go from the module cache, which is read-only.
func copyModule(t *testing.T) string {
	t.Helper()
	src, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/rabbitmq/amqp091-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "amqp091")
	if err := os.CopyFS(dir, os.DirFS(strings.TrimSpace(string(src)))); err != nil {
		t.Fatal(err)
	}
	return dir
}
