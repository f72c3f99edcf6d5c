package process_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/magne-actors/magne-actors/internal/testenv"
	"github.com/magne-actors/magne-actors/supervisor/process"
	"github.com/magne-actors/magne-actors/task"
)

// A worker with the Python SDK, from end to end.
func TestAPythonWorker(t *testing.T) {
	testenv.Program(t, "python3")
	sdk, err := filepath.Abs("../../sdk/python")
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(t.TempDir(), "worker.py")
	text := `
from magne_worker import Discard, Retry, Worker
worker = Worker()
@worker.task
def echo(text, repeat=1):
    print("this is a line of the log and nothing else", flush=True)
    assert text * repeat == "hihi"
@worker.task
def no():
    raise Discard("no width")
@worker.task
def later():
    raise Retry("rate limited", after=5)
@worker.task
def fails():
    return 1 / 0
worker.run()
`
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	o := process.Options{
		Pool: "mail", Tasks: []string{"echo", "fails"},
		Spec: process.Spec{Command: []string{"python3", script}, Env: []string{"PYTHONPATH=" + sdk, "PATH=" + os.Getenv("PATH")}},
	}
	g := newRig(t, rigOptions{options: o})
	g.ready()
	m := message("echo", `"hi"`)
	m.Kwargs = []byte(`{"repeat":2}`)
	if err := g.slots[0].Run(t.Context(), m); err != nil {
		t.Errorf("echo: got %v", err)
	}
	if o := task.OutcomeOf(g.do("no")); o.Kind != task.KindDiscard || o.Err.Error() != "no width" && o.Err.Error() != "Discard: no width" {
		t.Errorf("no: got %+v", o)
	}
	if o := task.OutcomeOf(g.do("later")); o.Kind != task.KindRetry || o.After.Seconds() != 5 || o.Err.Error() != "rate limited" {
		t.Errorf("later: got %+v", o)
	}
	if o := task.OutcomeOf(g.do("fails")); o.Kind != task.KindFailed || o.Err.Error() != "ZeroDivisionError: division by zero" {
		t.Errorf("fails: got %+v", o)
	}
	n := g.node(0)
	if n.State != "up" || n.Detail != "idle" || *n.TasksDone != 2 || *n.TasksFailed != 2 {
		t.Errorf("node: got %+v", n)
	}
	if err := g.stop(); err != nil {
		t.Error(err)
	}
}
