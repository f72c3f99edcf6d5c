package clienttest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/magne-actors/magne-actors/broker/embedded"
	"github.com/magne-actors/magne-actors/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m).Run()) }

// python is Debian's own: one from elsewhere does not see Debian's modules.
const python = "/usr/bin/python3"

// patience bounds one client. It is for a machine that has other things to do.
const patience = 3 * time.Minute

// serveEmbedded starts a broker in this process and returns its URL.
func serveEmbedded(t *testing.T) string {
	t.Helper()
	b, err := embedded.Open(embedded.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = b.Serve(context.Background(), l) }() // ends with Close
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return "amqp://guest:guest@" + l.Addr().String() + "/"
}

func needModule(t *testing.T, module string) {
	t.Helper()
	if exec.Command(python, "-c", "import "+module).Run() != nil {
		testenv.Missing(t, "python3-%s is missing", module)
	}
}

// script runs a client and returns what it printed, which is JSON.
func script(t *testing.T, env []string, args ...string) any {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), env...), &out, &errOut
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, &errOut)
	}
	var seen any
	if err := json.Unmarshal(out.Bytes(), &seen); err != nil {
		t.Fatalf("%v printed %q: %v", args, &out, err)
	}
	return seen
}

// parse makes the same of text as script does of output.
func parse(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// each runs a client against both brokers.
func each(t *testing.T, want string, client func(t *testing.T, url, prefix string) any) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) { check(t, want, client, serveEmbedded(t)) })
	t.Run("rabbitmq", func(t *testing.T) { check(t, want, client, testenv.RabbitMQ(t)) })
}

func check(t *testing.T, want string, client func(t *testing.T, url, prefix string) any, url string) {
	t.Helper()
	if diff := cmp.Diff(parse(t, want), client(t, url, testenv.Name(t))); diff != "" {
		t.Errorf("the client saw something else (-want +got):\n%s", diff)
	}
}

func TestKombu(t *testing.T) {
	needModule(t, "kombu")
	each(t, `{
		"returned": [312],
		"consumed": [0,1,2,3,4,5,6,7,8,9],
		"dead": [[0,"rejected","Q",1,["task.run"]], [3,"rejected","Q",1,["task.run"]],
			[6,"rejected","Q",1,["task.run"]], [9,"rejected","Q",1,["task.run"]]],
		"purged": 1, "empty": true, "deleted": 0
	}`, func(t *testing.T, url, prefix string) any {
		return script(t, nil, python, "testdata/kombu_client.py", url, prefix)
	})
}

// Celery has a worker that consumes tasks, answers to control messages by fanout
// and direct reply queues, and sends results to a queue of the client.
func TestCelery(t *testing.T) {
	needModule(t, "celery")
	each(t, `{
		"sums": [0,2,4,6,8,10,12,14,16,18,20,22,24,26,28,30,32,34,36,38],
		"retries": 1, "pongs": ["pong"]
	}`, func(t *testing.T, url, prefix string) any {
		env := []string{"AMQP_URL=" + url, "PREFIX=" + prefix, "PYTHONPATH=testdata"}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		worker := exec.CommandContext(ctx, python, "-m", "celery", "-A", "celery_app", "worker", "--pool=solo", "--loglevel=WARNING")
		var said bytes.Buffer
		worker.Env, worker.Stdout, worker.Stderr = append(os.Environ(), env...), &said, &said
		if err := worker.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if t.Failed() {
				_ = worker.Process.Kill()
				_ = worker.Wait()
				t.Logf("the worker said:\n%s", &said)
			}
		}()
		seen := script(t, env, python, "testdata/celery_app.py", "client")
		if err := worker.Wait(); err != nil { // the client has told it to stop
			t.Errorf("worker: %v", err)
		}
		return seen
	})
}

func TestAMQPLib(t *testing.T) {
	modules := amqplib(t)
	each(t, `{
		"ready": 6, "returned": 312,
		"consumed": [["m5","id5",5,false], ["m4","id4",4,false], ["m3","id3",3,false],
			["m2","id2",2,false], ["m1","id1",1,false], ["m0","id0",0,false]],

		"dead": ["m2", "rejected", 1, "Q", "gone"],
		"none": false, "deleted": true, "missing": 404
	}`, func(t *testing.T, url, prefix string) any {
		return script(t, []string{"NODE_PATH=" + modules}, "node", "testdata/amqplib_client.js", url, prefix)
	})
}

// amqplib installs the locked version into a temporary directory and returns where
// the modules are.
func amqplib(t *testing.T) string {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		testenv.Program(t, program)
	}
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	return filepath.Join(dir, "node_modules")
}
