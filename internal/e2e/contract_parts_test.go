package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/supervisor"
)

// TestContractYAML: the example is understood, and means what it says.
func TestContractYAML(t *testing.T) {
	t.Parallel()
	_, yaml := contract(t)
	r := magne(t, strings.NewReader(yaml), "check", "-c", "-", "-o", "json").want(t, 0)
	for _, want := range []string{
		`"broker": "amqp://127.0.0.1:5672/"`, `"shutdown": "30s"`, `"queue": "MAGNE_LATENCY_BENCH"`, `"codec": "magne"`, `"mode": "coroutine"`,
		`"workers": 8`, `"slots": 1250`, `"high": 10000`, `"low": 5000`, `"timeout": "1m0s"`, `"magne_latency_bench"`, `"notify"`,
		`"queue": "resize"`, `"mode": "process"`, `"min_workers": 2`, `"command": "python3"`,
	} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("check -o json has no %s:\n%s", want, r.stdout)
		}
	}
}

// TestContractCommands: each command and flag exists, or is refused as unknown and
// named to come later.
func TestContractCommands(t *testing.T) {
	t.Parallel()
	text, _ := contract(t)
	_, section, _ := strings.Cut(text, "## Commands\n")
	section, _, _ = strings.Cut(section, "\n##")
	flags := map[string][]string{
		"run": {"-c, --config", "-o, --output"}, "check": {"-c, --config"}, "tree": {"--socket", "-c, --config"},
		"publish": {"-c, --config", "--url", "--queue", "-n, --number"}, "broker": {"--listen", "--dir"},
	}
	seen := 0
	for _, quoted := range regexp.MustCompile("`[^`]+`").FindAllString(section, -1) {
		name := strings.Fields(strings.Trim(quoted, "`"))[0]
		if strings.HasPrefix(name, "-") {
			continue
		}
		seen++
		r := magne(t, nil, name, "--help")
		if r.code != 0 {
			t.Errorf("%s --help: exit code %d", name, r.code)
		}
		for _, flag := range flags[name] {
			if !strings.Contains(r.stdout, flag) {
				t.Errorf("%s has no %s:\n%s", name, flag, r.stdout)
			}
		}
		if r := magne(t, nil, name, "--no-such-flag"); r.code != 2 {
			t.Errorf("%s --no-such-flag: exit code %d, want 2", name, r.code)
		}
	}
	if seen != 17 {
		t.Errorf("commands in the contract: found %d, want 17", seen)
	}
	if r := magne(t, nil, "run", "--burst"); r.code != 2 {
		t.Errorf("run --burst: exit code %d: remove it from the clauses of issue 4", r.code)
	}
	magne(t, nil, "run").want(t, 2) // no magne.yaml
	magne(t, nil, "tree", "--socket", filepath.Join(t.TempDir(), "none")).want(t, 3)
}

// TestContractBodies: all that the formats have reaches the task, and only its
// name is needed.
func TestContractBodies(t *testing.T) {
	r, queue := begin(t)
	e := newEndpoint(t)
	magneQueue := r.queue(".magne")
	a := start(t, setup{url: r.url, pools: hook(queue, e.url, "") + strings.Replace(hook(magneQueue, e.url, "codec: magne"), "p:", "m:", 1)})
	for _, body := range []string{`{"task":"hook"}`, `{"task": "hook", "id": "7", "args": ["all"], "kwargs": {"w": 1}, "headers": {"tenant": "t1"}}`} {
		r.publish(queue, amqp091.Publishing{Body: []byte(body)})
	}
	for _, body := range []string{`{"func":"hook"}`, `{"func": "hook", "args": ["positional"]}`} {
		r.publish(magneQueue, amqp091.Publishing{Body: []byte(body)})
	}
	a.settled("p", 2)
	a.settled("m", 2)
	if n := len(e.seen("")); n != 2 {
		t.Errorf("tasks with a name only: got %d, want 2", n)
	}
	if n := len(e.seen(`"positional"`)); n != 1 {
		t.Errorf("magne with arguments: got %d, want 1", n)
	}
	all := e.seen(`"all"`)
	if len(all) != 1 || all[0].ID != "7" || string(all[0].Kwargs) != `{"w":1}` && string(all[0].Kwargs) != `{"w": 1}` || all[0].Headers["tenant"] != "t1" {
		t.Errorf("json with everything: got %+v", all)
	}
	a.stop()
}

// TestContractSocket: tree finds the socket where run has put it.
func TestContractSocket(t *testing.T) {
	r, queue := begin(t)
	a := setup{url: r.url, pools: fmt.Sprintf("p: {queue: %s, tasks: {hello: {builtin: echo}}}", queue)}.write(t)
	text, err := os.ReadFile(a.config)
	if err != nil {
		t.Fatal(err)
	}
	plain := regexp.MustCompile(`(?m)^control:.*$`).ReplaceAll(text, nil)
	if err := os.WriteFile(a.config, plain, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		env []string
		at  string
	}{
		"working directory": {nil, filepath.Join(a.dir, "magne.sock")},
		"XDG_RUNTIME_DIR":   {[]string{"XDG_RUNTIME_DIR=" + a.dir}, filepath.Join(a.dir, "magne-actors", "magne.sock")},
	} {
		p := spawn(t, a.dir, tt.env, nil, "run", "-c", a.config)
		eventually(t, name+": tree finds the instance", func() (bool, any) {
			p.running()
			r := magneIn(t, a.dir, tt.env, nil, "tree")
			return r.code == 0, r.stderr
		})
		if info, err := os.Lstat(tt.at); err != nil || info.Mode() != os.ModeSocket|0o600 {
			t.Errorf("%s: socket %v, %v", name, info, err)
		}
		p.signal(os.Interrupt)
		p.wait()
	}
}

// fieldTypes are the fields of a node and what encoding/json makes of them.
var fieldTypes = map[string]reflect.Kind{
	"id": reflect.String, "kind": reflect.String, "state": reflect.String, "children": reflect.Slice,
	"queued": reflect.Float64, "running": reflect.Float64, "in_flight": reflect.Float64, "high": reflect.Float64, "low": reflect.Float64,
	"paused": reflect.Bool, "pauses": reflect.Float64, "settled": reflect.Float64, "restarts": reflect.Float64,
	"since": reflect.String, "last_error": reflect.String, "pid": reflect.Float64,
}

// fieldsOf says which kinds of node have which fields beside the first four.
var fieldsOf = map[string][]string{
	"root":    {"restarts", "since", "pid"},
	"sup":     {"restarts", "since"},
	"broker":  {"restarts", "since"},
	"control": {"restarts", "since"},
	"pool":    {"restarts", "since"},
	"worker":  {"restarts", "since", "queued", "running"},
	"router":  {"restarts", "since", "queued", "running", "in_flight", "high", "low", "paused", "pauses", "settled"},
}

// TestContractTree: every field of every node has its name and its type, while
// every worker is blocked and one pool has failed.
func TestContractTree(t *testing.T) {
	r, queue := begin(t)
	e := newEndpoint(t)
	e.hold()
	differs := r.queue(".differs")
	r.plain(differs, nil)
	a := launch(t, setup{url: r.url, pools: hook(queue, e.url, "mode: thread\nworkers: 3") +
		fmt.Sprintf("differs: {queue: %s, tasks: {hello: {builtin: echo}}}\n", differs)})
	a.untilNode("router:p", "consuming", func(n *supervisor.Node) bool { return n.State == "consuming" })
	a.untilNode("router:differs", "failed", func(n *supervisor.Node) bool { return n.State == "failed" })
	publishNumbers(t, a, "hook", 0, 5)
	e.hasBegun(t, 3)
	out := magneIn(t, a.dir, nil, nil, "tree", "--socket", a.socket, "-o", "json").want(t, 2).stdout
	var root map[string]any
	if err := json.Unmarshal([]byte(out), &root); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{} // fields and kinds
	holdNode(t, root, seen, map[string]bool{})
	for field := range fieldTypes {
		if !seen[field] {
			t.Errorf("no node has %q", field)
		}
	}
	for kind := range fieldsOf {
		if !seen["kind "+kind] {
			t.Errorf("no node is of kind %s", kind)
		}
	}
	if root["kind"] != "root" || root["pid"] != float64(a.cmd.Process.Pid) {
		t.Errorf("root: kind %v, pid %v", root["kind"], root["pid"])
	}
	e.release()
	a.settled("p", 5)
	a.stop()
}

func holdNode(t *testing.T, n map[string]any, seen, ids map[string]bool) {
	t.Helper()
	id, kind := fmt.Sprint(n["id"]), fmt.Sprint(n["kind"])
	if ids[id] {
		t.Errorf("the id %s is there twice", id)
	}
	ids[id], seen["kind "+kind] = true, true
	want, known := fieldsOf[kind]
	if !known { // slot comes with issue 5
		t.Errorf("%s: unknown kind %q", id, kind)
	}
	for _, field := range append([]string{"id", "kind", "state", "children"}, want...) {
		if _, ok := n[field]; !ok {
			t.Errorf("%s: no %q", id, field)
		}
	}
	for field, v := range n {
		seen[field] = true
		if want, ok := fieldTypes[field]; ok && reflect.TypeOf(v) != nil && reflect.TypeOf(v).Kind() != want || v == nil {
			t.Errorf("%s: %s is %v (%T), want %v", id, field, v, v, want)
		}
	}
	if s, ok := n["since"].(string); ok {
		if _, err := time.Parse(time.RFC3339, s); err != nil {
			t.Errorf("%s: since: %v", id, err)
		}
	}
	if strings.HasPrefix(id, "router:") != (kind == "router") {
		t.Errorf("%s is of kind %s", id, kind)
	}
	children, _ := n["children"].([]any)
	for _, c := range children {
		holdNode(t, c.(map[string]any), seen, ids)
	}
}

// TestContractBench: the lines of the benchmark have the contract's fields.
func TestContractBench(t *testing.T) {
	r, _ := begin(t)
	path := filepath.Join(t.TempDir(), "bench")
	if out, err := exec.Command("go", "build", "-o", path, "github.com/magne-actors/magne-actors/bench").CombinedOutput(); err != nil {
		t.Fatalf("build bench: %v\n%s", err, out)
	}
	cmd := exec.Command(path, "noop", "-n", "200", "-vs", "raw", "-runs", "1", "-url", r.url, "-o", "json")
	cmd.Env, cmd.SysProcAttr = environment(t), leash()
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		t.Fatalf("bench: %v\n%s", err, exit.Stderr)
	} else if err != nil {
		t.Fatal(err)
	}
	var systems []string
	for line := range strings.Lines(string(out)) {
		var got map[string]any
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		for _, field := range []string{"n", "seconds", "msgs_per_s", "client_cpu_us_per_msg", "peak_rss_mib", "peak_in_flight", "ratio_to_raw"} {
			if _, ok := got[field].(float64); !ok {
				t.Errorf("%s is %v (%T), want a number", field, got[field], got[field])
			}
		}
		if got["scenario"] != "noop" || got["n"] != 200.0 {
			t.Errorf("scenario %v, n %v", got["scenario"], got["n"])
		}
		systems = append(systems, fmt.Sprint(got["system"]))
	}
	if want := []string{"magne-actors", "raw"}; !slices.Equal(slices.Sorted(slices.Values(systems)), want) {
		t.Errorf("systems: got %v, want %v", systems, want)
	}
}
