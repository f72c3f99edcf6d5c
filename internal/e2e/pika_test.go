package e2e_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/magne-actors/magne-actors/internal/testenv"
)

const (
	example = "../../examples/latency"
	python  = "/usr/bin/python3" // the one that Debian's python3-pika is for
)

// pika runs the example's publisher, as it stands in the documentation.
func pika(t *testing.T, url, count string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, filepath.Join(example, "publish.py"), count)
	cmd.Env = environment(t, "AMQP_URL="+url)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("publish.py: %v\n%s", err, out)
	}
}

// needPika ends the test where pika is missing.
func needPika(t *testing.T) {
	t.Helper()
	if out, err := exec.Command(python, "-c", "import pika").CombinedOutput(); err != nil {
		testenv.Missing(t, "python3-pika is missing: %v %s", err, out)
	}
}

// TestPika: a publisher of magne works unchanged with the example's configuration,
// whichever of the two comes first and declares the queue.
func TestPika(t *testing.T) {
	t.Parallel()
	needPika(t)
	const queue, tasks = "MAGNE_LATENCY_BENCH", "40" // the name is magne's own: one test has it
	r := dial(t, testenv.RabbitMQ(t))
	config, err := filepath.Abs(filepath.Join(example, "magne.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, first := range []string{"publish.py", "run"} {
		t.Run(first+" first", func(t *testing.T) {
			r.remove(queue)
			t.Cleanup(func() { r.remove(queue) })
			if first == "publish.py" {
				pika(t, r.url, tasks)
				r.holds(queue, 40)
			}
			a := setup{}.write(t)
			a.config = config
			a.again(t, setup{env: []string{"AMQP_URL=" + r.url, "MAGNE_CONTROL_SOCKET=" + a.socket}})
			a.healthy()
			if first == "run" {
				pika(t, r.url, tasks)
			}
			a.settled("latency", 40)
			a.stop()
			if n := r.ready(queue); n != 0 {
				t.Errorf("left in the queue: %d", n)
			}
			if n := r.ready(dead(queue)); n != 0 {
				t.Errorf("dead letters: %d", n)
			}
		})
	}
}
