package e2e_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/magne-actors/magne-actors/internal/testenv"
	"github.com/magne-actors/magne-actors/supervisor"
)

// processExample is an example whose tasks run in processes. Its task has two
// arguments, of which the second is the file that it writes.
type processExample struct {
	dir, pool, task string
	needs           string // the program that runs its workers
	first           string // the first argument
	wrong           string // the same for a task that goes to the dead-letter queue
	made            func(t *testing.T, file string)
	worker          []string // what `worker check` is told; nil: it is no worker
}

func processExamples(root string) []processExample {
	nowhere := "/no/such/place"
	return []processExample{
		{
			dir: "python", pool: "files", task: "compress", needs: "python3", first: filepath.Join(root, "LICENSE"), wrong: nowhere,
			made:   func(t *testing.T, file string) { unpacks(t, file, filepath.Join(root, "LICENSE")) },
			worker: []string{"env", "PYTHONPATH=sdk/python", "python3", "-B", "examples/python/worker.py"},
		},
		{
			dir: "node", pool: "digests", task: "digest", needs: "node", first: os.DevNull, wrong: nowhere,
			made: func(t *testing.T, file string) {
				fileHas(t, file, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n")
			},
			worker: []string{"node", "examples/node/worker.js"},
		},
		{
			dir: "shell", pool: "archives", task: "archive", needs: "bash", first: filepath.Join(root, "examples", "shell"), wrong: nowhere,
			made:   func(t *testing.T, file string) { fileHas(t, file, "\x1f\x8b") },
			worker: []string{"bash", "-c", "cd examples/shell; exec bash worker.sh"},
		},
		{
			dir: "oneshot", pool: "reports", task: "report", needs: "sh", first: filepath.Join(root, "docs"), wrong: nowhere,
			made: func(t *testing.T, file string) { fileHas(t, file, "\t"+filepath.Join(root, "docs")+"\n") },
		},
		{
			dir: "go-child", pool: "numbers", task: "primes", needs: "go", first: "1000000", wrong: "-1",
			made:   func(t *testing.T, file string) { fileHas(t, file, "78498\n") },
			worker: []string{"go", "run", "./examples/go-child"},
		},
	}
}

func fileHas(t *testing.T, file, want string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), want) {
		t.Errorf("%s: got %q, %v; want one with %q", file, text, err, want)
	}
}

// unpacks wants a file to be another one, compressed.
func unpacks(t *testing.T, file, original string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if want, err := os.ReadFile(original); err != nil || string(got) != string(want) {
		t.Errorf("%s unpacks to %d bytes, %s has %d: %v", file, len(got), original, len(want), err)
	}
}

// TestExamplesProcess runs the examples with processes as their READMEs do: a task
// is done, one that cannot be is a dead letter, a stop leaves no process.
func TestExamplesProcess(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range processExamples(root) {
		t.Run(x.dir, func(t *testing.T) {
			t.Parallel()
			testenv.Program(t, x.needs)
			x.run(t, root)
		})
	}
}

func (x *processExample) run(t *testing.T, root string) {
	a := setup{}.write(t)
	a.config = filepath.Join("examples", x.dir, "magne.yaml")
	env := []string{
		"MAGNE_CONTROL_SOCKET=" + a.socket, "MAGNE_BROKER_EMBEDDED_LISTEN=" + a.listen, "MAGNE_BROKER_EMBEDDED_DIR=" + a.data(),
	}
	a.process = spawn(t, root, env, nil, "run", "-c", a.config)
	a.healthy()
	made := filepath.Join(a.dir, "made")
	publish := func(first string) {
		magneIn(t, root, env, nil, "publish", "-c", a.config, "--queue", x.pool, x.task, "--", first, made).want(t, 0)
	}
	publish(x.first)
	a.settled(x.pool, 1)
	x.made(t, made)
	publish(x.wrong)
	a.settled(x.pool, 2)
	if n := a.queueReady(env, dead(x.pool)); n != 1 {
		t.Errorf("%d dead letters, want 1", n)
	}
	pids := a.pids()
	if x.worker != nil && len(pids) == 0 {
		t.Error("the tree has no slot with a process")
	}
	a.stop()
	for _, pid := range pids {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
			t.Errorf("process %d is still there", pid)
		}
	}
}

// pids are those of the slots.
func (a *app) pids() []int {
	a.t.Helper()
	root, _ := a.tree()
	var pids []int
	var walk func(n *supervisor.Node)
	walk = func(n *supervisor.Node) {
		if n.Kind == "slot" && n.PID != nil {
			pids = append(pids, *n.PID)
		}
		for _, c := range n.Children {
			walk(c)
		}
	}
	if root != nil {
		walk(root)
	}
	return pids
}

// queueReady is how many messages wait in a queue of the embedded broker.
func (a *app) queueReady(env []string, queue string) int {
	a.t.Helper()
	var rows []struct {
		Name  string
		Ready int
	}
	out := magneIn(a.t, a.cmd.Dir, env, nil, "queue", "list", "-c", a.config, "-o", "json").want(a.t, 0).stdout
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		a.t.Fatal(err)
	}
	for _, row := range rows {
		if row.Name == queue {
			return row.Ready
		}
	}
	a.t.Fatalf("no queue %s in %s", queue, out)
	return 0
}

// TestExamplesWorkerCheck: the workers of the examples are right.
func TestExamplesWorkerCheck(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range processExamples(root) {
		if x.worker == nil {
			continue
		}
		t.Run(x.dir, func(t *testing.T) {
			t.Parallel()
			testenv.Program(t, x.needs)
			args := []string{"worker", "check", "--timeout", "60s"}
			if x.dir == "go-child" {
				args = append(args, "--stdio", "--args", `[10, "/dev/null"]`)
			}
			r := magneIn(t, root, nil, nil, append(append(args, "--"), x.worker...)...).want(t, 0)
			if !strings.Contains(r.stdout, x.task) || strings.Contains(r.stdout, "FAILED") {
				t.Errorf("got %s", r.stdout)
			}
		})
	}
}
