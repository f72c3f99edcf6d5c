package embedded_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/magne-actors/magne-actors/broker/embedded"
	"github.com/magne-actors/magne-actors/internal/testenv"
)

// TestPika runs testdata/pika_client.py, which uses what Python programs use of
// pika. It is skipped where pika is not installed, but not in CI.
func TestPika(t *testing.T) {
	const python = "/usr/bin/python3" // Debian's, which has python3-pika
	if out, err := exec.Command(python, "-c", "import pika").CombinedOutput(); err != nil {
		testenv.Missing(t, "python3-pika is missing: %v %s", err, out)
	}
	addr := listen(t, open(t, embedded.Options{Dir: t.TempDir()}))
	out, err := exec.CommandContext(t.Context(), python, "testdata/pika_client.py", "amqp://guest:guest@"+addr+"/%2F").CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "ok" {
		t.Errorf("%v\n%s", err, out)
	}
}
