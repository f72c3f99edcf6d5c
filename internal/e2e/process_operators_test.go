package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/supervisor"
)

// operators are people who do everything at once with a pool whose workers die.
type operators struct {
	*chaos
	seed   uint64
	client http.Client
	over   atomic.Int64 // tasks that are done or cancelled, as far as the test has seen

	mu     sync.Mutex
	tally  map[string]int // operations, by what they were answered
	errors []string
}

// operator is one of them: it does one thing after the other until the storm is over.
type operator struct {
	*operators
	*rand.Rand
	ctx context.Context
}

// note counts an operation. Only what may never be answered is an error.
func (o *operators) note(what string, code int, answer string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tally[fmt.Sprintf("%s %d", what, code)]++
	if code == http.StatusInternalServerError || code == http.StatusBadRequest || code == http.StatusUnprocessableEntity {
		o.errors = append(o.errors, fmt.Sprintf("%s: %d %s", what, code, answer))
	}
}

// ask is a request to the control socket; 0 stands for no answer, as while the control
// API is restarted with the broker.
func (o *operators) ask(method, what, path string) (int, string) {
	request, err := http.NewRequest(method, "http://magne-actors"+path, nil)
	if err != nil {
		panic(err)
	}
	answer, err := o.client.Do(request)
	if err != nil {
		if os.IsTimeout(err) {
			o.note(what+" hangs", http.StatusInternalServerError, err.Error())
		}
		o.note(what, 0, "")
		return 0, ""
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body) // the code says it
	o.note(what, answer.StatusCode, string(text))
	return answer.StatusCode, string(text)
}

func (o *operator) post(what, path string) (int, string) { return o.ask(http.MethodPost, what, path) }

func (o *operator) slot() string { return fmt.Sprintf("p/%d", 1+o.IntN(5)) }

// acts are what operators do, each done by one of them at a time.
var acts = []func(*operator){
	func(o *operator) { // how many
		if o.IntN(3) == 0 {
			o.post("limit", fmt.Sprintf("/v1/limit/p?high=%d", 1+o.IntN(64)))
			return
		}
		o.post("scale", fmt.Sprintf("/v1/scale/p?workers=%d", 1+o.IntN(6)))
	},
	func(o *operator) { // configured how
		o.configure("g" + strconv.Itoa(o.IntN(1000)))
		if o.IntN(2) == 0 {
			o.note("HUP", 0, fmt.Sprint(o.cmd.Process.Signal(syscall.SIGHUP)))
			return
		}
		o.post("reload", "/v1/reload")
	},
	func(o *operator) {
		o.post("pause", "/v1/pause/p")
		o.rest(50 * time.Millisecond)
		for code := 0; code != http.StatusOK; o.breathe() { // the pool may just be replaced
			code, _ = o.post("resume", "/v1/resume/p")
		}
	},
	func(o *operator) {
		node := []string{o.slot(), o.slot(), o.slot(), "pool:p", "router:p", "p", "broker"}[o.IntN(7)]
		o.post("restart "+strings.TrimRight(node, "0123456789"), "/v1/restart/"+node)
	},
	func(o *operator) {
		o.post("signal", fmt.Sprintf("/v1/signal/%s?signal=%s", o.slot(), []string{"TERM", "USR1", "KILL", "CONT", "INT"}[o.IntN(5)]))
	},
	func(o *operator) { o.post("worker restart", "/v1/recycle/"+o.slot()) },
	func(o *operator) { o.post("worker kill", "/v1/kill/"+o.slot()) },
	func(o *operator) { // cancel
		_, text := o.ask(http.MethodGet, "tasks", "/v1/tasks")
		var tasks []struct{ ID string }
		if json.Unmarshal([]byte(text), &tasks) == nil && len(tasks) > 0 {
			o.post("cancel", "/v1/cancel?task="+tasks[o.IntN(len(tasks))].ID)
		}
	},
	func(o *operator) { // looks
		path := []string{"/v1/tree", "/v1/tasks", "/v1/events", "/v1/nodes/" + o.slot(), "/metrics", "/v1/logs"}[o.IntN(6)]
		o.ask(http.MethodGet, "look", path)
	},
	func(o *operator) { // kill -9, by somebody who is no operator at all
		if pids := o.workers(); len(pids) > 0 && syscall.Kill(pids[o.IntN(len(pids))], syscall.SIGKILL) == nil {
			o.note("kill -9", 0, "")
		}
	},
}

// workers are the processes of the pool. It reads /proc and fails no test.
func (o *operators) workers() (pids []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", o.cmd.Process.Pid))
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for field := range strings.FieldsSeq(string(text)) {
			line, err := os.ReadFile("/proc/" + field + "/cmdline")
			if pid, bad := strconv.Atoi(field); err == nil && bad == nil && strings.Contains(string(line), "bad_worker.py") {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

var generation = regexp.MustCompile(`GENERATION: "\w+"`)

// configure changes the environment of the processes, at once as an editor does.
func (o *operators) configure(word string) {
	text, err := os.ReadFile(o.config)
	if err == nil {
		changed := generation.ReplaceAllString(string(text), `GENERATION: "`+word+`"`)
		if err = os.WriteFile(o.config+".new", []byte(changed), 0o600); err == nil {
			err = os.Rename(o.config+".new", o.config)
		}
	}
	if err != nil {
		o.note("rewrite", http.StatusInternalServerError, err.Error())
	}
}

// each is after how many tasks on average an operator does something: not by the
// clock, or on a slow machine no worker would live long enough to run anything.
const each = 10

// act has the operator do its thing again and again.
func (o *operator) act(thing func(*operator)) {
	for due := o.Int64N(each); o.ctx.Err() == nil; {
		if o.over.Load() >= due {
			thing(o)
			due = o.over.Load() + o.Int64N(2*each)
		}
		o.rest(20 * time.Millisecond)
	}
}

// breathe is a moment between two tries, also when the storm is over.
func (o *operator) breathe() { <-time.After(interval) }

// rest waits for up to d, or until the storm is over.
func (o *operator) rest(d time.Duration) {
	select {
	case <-o.ctx.Done():
	case <-time.After(time.Duration(o.Int64N(int64(d)))):
	}
}

// storm has all operators at work until all but the last tasks are accounted for.
func (o *operators) storm(tasks int) {
	o.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i, act := range acts {
		one := &operator{o, rand.New(rand.NewPCG(o.seed, uint64(i))), ctx}
		wg.Go(func() { one.act(act) })
	}
	stop := sync.OnceFunc(func() { cancel(); wg.Wait() })
	defer stop()
	o.untilDone(tasks - tasks/10)
}

// untilDone waits until n tasks are done. Those that were cancelled are not, so that
// it counts the dead letters, too.
func (o *operators) untilDone(n int) {
	o.t.Helper()
	for had := -1; len(o.done)+o.r.ready(dead(o.queue)) < n; { // each part has the whole patience
		had = len(o.done)
		eventually(o.t, fmt.Sprintf("more than %d of %d tasks are done", had, n), func() (bool, any) {
			o.running()
			o.readRecord()
			have := len(o.done) + o.r.ready(dead(o.queue))
			o.over.Store(int64(have))
			return len(o.done) >= had+20 || have >= n, have
		})
	}
}

// calm brings the pool to what the test begins and ends with. Who asks last has their
// way, whatever is still under way.
func (o *operators) calm(workers int) {
	o.t.Helper()
	for _, command := range [][]string{{"reload"}, {"resume", "p"}, {"limit", "p", "high=64"}, {"scale", "p", strconv.Itoa(workers)}} {
		eventually(o.t, strings.Join(command, " "), func() (bool, any) {
			r := magneIn(o.t, o.dir, nil, nil, append(command, "--socket", o.socket)...)
			return r.code == 0, fmt.Sprintf("exit %d: %s%s", r.code, r.stdout, r.stderr)
		})
	}
	o.untilNode("pool:p", fmt.Sprintf("%d workers, the number that was asked for last", workers), func(n *supervisor.Node) bool {
		return n.State == "up" && n.Detail == fmt.Sprintf("%d/%d", workers, workers) && len(n.Children) == workers
	})
}

// TestProcessOperators: operators pause and resume, scale, limit, reload, restart
// nodes, signal, replace and kill workers and cancel tasks, all at random and at the
// same time, while workers are killed with kill -9 and tasks run. Each task is done or
// was cancelled, no delivery is settled twice, nothing is left behind, and the pool is
// as large as it was asked to be last. OPERATORS_TASKS says how many tasks, 100 by
// default, and OPERATORS_SEED in which order each operator does what.
func TestProcessOperators(t *testing.T) {
	t.Parallel()
	tasks := numberOf(t, "OPERATORS_TASKS", 100)
	o := &operators{seed: uint64(numberOf(t, "OPERATORS_SEED", 1)), tally: map[string]int{}}
	o.chaos = startChaos(t, `, NAP: "0.1", GENERATION: "one"`, 4)
	o.client = http.Client{Timeout: 2 * patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", o.socket)
		},
	}}
	o.warmUp()
	o.r.task(o.queue, "env", 0) // a channel for dead letters is opened with the first one
	o.r.take(dead(o.queue), 1)
	o.calm(4)
	before := o.belongings()
	publishNumbers(t, o.app, "record", 0, tasks)
	o.storm(tasks)
	o.calm(4)
	o.untilDone(tasks)
	o.empty("p")
	o.healthy()
	o.r.holds(o.queue, 0)
	t.Logf("seed %d: %v", o.seed, o.tally)
	for _, text := range o.errors {
		t.Error(text)
	}
	o.reckon(tasks)
	contains(t, o.look(0, "why", "pool:p"), "4 of 4 workers")
	o.allUp("p", 4)
	o.nothingLeft(before, 4)
	o.stop()
	noneMarked(t, o.mark)
}

// reckon fails the test unless each task was done or cancelled, and each delivery
// settled at most once.
func (o *operators) reckon(tasks int) {
	o.t.Helper()
	letters := o.r.take(dead(o.queue), o.r.ready(dead(o.queue)))
	over := maps.Clone(o.done)
	for _, d := range letters {
		if d.Headers["x-reason"] != "cancelled" {
			o.t.Errorf("a dead letter: %v %s", d.Headers, d.Body)
		}
		var body struct{ Args []int }
		if err := json.Unmarshal(d.Body, &body); err != nil || len(body.Args) != 1 {
			o.t.Errorf("a dead letter: %s, %v", d.Body, err)
			continue
		}
		over[fmt.Sprintln(body.Args[0])] = true
	}
	f := o.figures()
	delivered, settled, lost := f["magne_deliveries_total"], f["magne_settlements_total"], f["magne_deliveries_lost_total"]
	o.t.Logf("%d tasks, %d done, %d cancelled, %.0f deliveries, %.0f settlements, %.0f lost", tasks, len(o.done), len(letters), delivered, settled, lost)
	if len(over) != tasks || delivered != settled+lost {
		o.t.Errorf("%d of %d tasks are accounted for; each delivery is to be settled or lost", len(over), tasks)
	}
	if said := o.stderr.String(); strings.Contains(said, "unknown delivery tag") || strings.Contains(said, "unknown_tag") {
		o.t.Error("a delivery was settled twice: the broker closed the channel")
	}
}

// numberOf is a number in the environment.
func numberOf(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}
