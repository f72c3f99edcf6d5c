package e2e_test

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/magne-actors/magne-actors/internal/testenv"
	"github.com/magne-actors/magne-actors/supervisor"
)

// get is what the control socket says.
func (a *app) get(path string) string {
	a.t.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true, // the connection would be one more descriptor
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", a.socket)
		},
	}}
	answer, err := client.Get("http://magne-actors" + path)
	if err != nil {
		a.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		a.t.Fatalf("%s: %s, %v", path, answer.Status, err)
	}
	return string(text)
}

// goroutines are counted by what they began with, without those that wait for
// messages to actors: up to 64 are kept.
func (a *app) goroutines() map[string]int {
	a.t.Helper()
	all := map[string]int{}
	for stack := range strings.SplitSeq(a.get("/debug/pprof/goroutine?debug=1"), "\n\n") {
		lines := strings.Split(strings.TrimSpace(stack), "\n")
		fields := strings.Fields(lines[len(lines)-1]) // # 0x1234 function+0x12 file:1
		if strings.HasPrefix(lines[0], "goroutine profile") {
			lines = lines[1:]
		}
		n, _, _ := strings.Cut(lines[0], " ")
		if count, err := strconv.Atoi(n); err == nil && len(fields) > 2 && fields[0] == "#" {
			name, _, _ := strings.Cut(fields[2], "+")
			all[name] += count
		}
	}
	delete(all, "github.com/magne-actors/magne-actors/supervisor.(*dispatcher).run")
	if len(all) == 0 {
		a.t.Fatal("no goroutine in the profile")
	}
	return all
}

// figures are the metrics of the instance: the sum of the series of each name.
func (a *app) figures() map[string]float64 {
	a.t.Helper()
	sums := map[string]float64{}
	for line := range strings.Lines(a.get("/metrics")) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, _, _ := strings.Cut(series, "{")
		if n, err := strconv.ParseFloat(value, 64); err == nil && !strings.HasPrefix(name, "#") {
			sums[name] += n
		}
	}
	return sums
}

// belongings is what an instance must not have more of than before: what it leaks
// when processes die.
type belongings struct {
	children, threads       int
	goroutines, descriptors map[string]int
}

func (a *app) belongings() belongings {
	a.t.Helper()
	b := belongings{children: a.children(), goroutines: a.goroutines(), threads: a.threads(), descriptors: map[string]int{}}
	for _, fd := range a.entries("fd") {
		to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", a.cmd.Process.Pid, fd.Name()))
		if err != nil {
			continue // closed meanwhile
		}
		if strings.HasPrefix(to, "/proc/") {
			to = "/proc/PID/" + filepath.Base(to)
		}
		what, _, _ := strings.Cut(to, ":[")
		b.descriptors[what]++
	}
	return b
}

// within reports whether b is no more than before.
func (b belongings) within(before belongings) bool {
	return b.children <= before.children && len(more(before.goroutines, b.goroutines)) == 0 && len(more(before.descriptors, b.descriptors)) == 0
}

// more is what there is more of now.
func more(before, now map[string]int) map[string]int {
	m := map[string]int{}
	for what, n := range now {
		if n > before[what] {
			m[what] = n - before[what]
		}
	}
	return m
}

// chaos is a pool of processes whose tasks, named record, write their number
// to a file.
type chaos struct {
	*app
	r             *rabbit
	queue, record string
	mark          string
	done          map[string]bool // lines of the record
	read          int64           // bytes of it
	kills         int
	size          int // of the pool
}

func startChaos(t *testing.T, env string, size int) *chaos {
	t.Helper()
	r := dial(t, testenv.RabbitMQ(t))
	c := &chaos{r: r, size: size, queue: r.queue(""), mark: newMark(t), record: filepath.Join(t.TempDir(), "record"), done: map[string]bool{}}
	s := setup{url: r.url, top: "supervision: {defaults: {backoff: {initial: 1ms, max: 20ms}}}"}
	s.pools = workers(t, "p", c.mark, fmt.Sprintf(", RECORD: %q", c.record)+env,
		fmt.Sprintf("workers: %d\n", size)+"watermarks: {high: 64}\nmax_lost: 1000\nintensity: 1000\nretry: {max_attempts: 1000, initial: 1ms, max: 20ms}\nstart_timeout: 60s\n")
	s.pools = strings.Replace(s.pools, "queue: p", "queue: "+c.queue, 1)
	c.app = start(t, s)
	return c
}

// warmUp has everything opened that opens with the first lost process and stays,
// such as the connections for retries and for questions.
func (c *chaos) warmUp() {
	c.t.Helper()
	c.r.task(c.queue, "exits", 0)
	c.untilNode("router:p", "it was tried", func(n *supervisor.Node) bool { return number(n.Settled) > 3 })
	c.look(0, "pause", "p")
	c.empty("p")
	c.r.drain(c.queue)
	c.look(0, "resume", "p")
	c.allUp("p", c.size)
	c.get("/readyz") // asks the broker, by a connection of its own
}

// killWorkers kills one process for each share of the tasks that is done, so that a
// slow machine gets on as well, and returns when all are done.
func (c *chaos) killWorkers(tasks, share int) {
	c.t.Helper()
	for want := range tasks/500 + 1 { // each part has the whole patience
		want = min(500*(want+1), tasks)
		eventually(c.t, fmt.Sprintf("%d tasks are done", want), func() (bool, any) {
			c.running()
			c.readRecord()
			for c.kills < len(c.done)/share && c.killOne() {
				c.kills++
			}
			return len(c.done) >= want, len(c.done)
		})
		if want%5000 == 0 {
			c.t.Logf("%d of %d tasks are done, %d processes killed", len(c.done), tasks, c.kills)
		}
	}
}

// account logs what has become of the tasks, and fails the test unless each was done
// and each delivery settled once.
func (c *chaos) account(tasks int) {
	c.t.Helper()
	dead := c.r.ready(dead(c.queue))
	f := c.figures()
	delivered, settled, lost := f["magne_deliveries_total"], f["magne_settlements_total"], f["magne_deliveries_lost_total"]
	reconnects := f["magne_broker_reconnects_total"] // RabbitMQ closes the channel when it is told twice
	c.t.Logf("%d tasks, %d done at least once, %d processes killed, %d dead letters, %.0f deliveries, %.0f settlements, %.0f lost, %.0f reconnects",
		tasks, len(c.done), c.kills, dead, delivered, settled, lost, reconnects)
	if dead != 0 || delivered != settled || settled < float64(tasks) || lost != 0 || reconnects != 0 {
		c.t.Error("want no dead letter, and each delivery settled once")
	}
}

// nothingLeft waits until there are the workers that there should be, and no more of
// anything than before, and logs how much there is.
func (c *chaos) nothingLeft(before belongings, workers int) {
	c.t.Helper()
	var now belongings
	defer func() {
		if c.t.Failed() {
			c.t.Logf("goroutines:\n%s", c.get("/debug/pprof/goroutine?debug=2"))
		}
	}()
	eventually(c.t, fmt.Sprintf("%d workers, and no more of anything than before", workers), func() (bool, any) {
		have := len(marked(c.mark))
		now = c.belongings()
		return have == workers && now.within(before), fmt.Sprintf("%d workers, %d children, before %d, more goroutines: %v, more descriptors: %v",
			have, now.children, before.children, more(before.goroutines, now.goroutines), more(before.descriptors, now.descriptors))
	})
	c.t.Logf("before and after: children %d %d, of them zombies %d, descriptors %d %d, goroutines %d %d, threads %d %d", before.children, now.children,
		c.zombies(), total(before.descriptors), total(now.descriptors), total(before.goroutines), total(now.goroutines), before.threads, now.threads)
	if now.threads > before.threads+8 { // the runtime may have a few more
		c.t.Errorf("%d threads, before %d", now.threads, before.threads)
	}
}

// zombies are children that have ended and that nobody has waited for.
func (a *app) zombies() (n int) {
	a.t.Helper()
	for _, pid := range a.childPIDs() {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		_, state, _ := strings.Cut(string(stat), ") ")
		if err == nil && strings.HasPrefix(state, "Z") {
			n++
		}
	}
	return n
}

// readRecord reads what is new in the record. Lines are written whole.
func (c *chaos) readRecord() {
	c.t.Helper()
	file, err := os.Open(c.record)
	if os.IsNotExist(err) {
		return
	}
	if err != nil {
		c.t.Fatal(err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.NewSectionReader(file, c.read, math.MaxInt64-c.read))
	if err != nil {
		c.t.Fatal(err)
	}
	c.read += int64(len(text))
	for line := range strings.Lines(string(text)) {
		c.done[line] = true
	}
}

// killOne kills one of the workers, if there is one.
func (c *chaos) killOne() bool {
	pids := slices.DeleteFunc(c.childPIDs(), func(pid int) bool {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		return err != nil || !strings.Contains(string(line), "bad_worker.py")
	})
	return len(pids) > 0 && syscall.Kill(pids[rand.IntN(len(pids))], syscall.SIGKILL) == nil
}

// TestProcessChaos: workers are killed at random while they run many tasks from
// RabbitMQ. Each task is done, none is dead-lettered, each delivery is settled once,
// and nothing is left behind. CHAOS_TASKS says how many tasks, 2000 by default.
func TestProcessChaos(t *testing.T) {
	t.Parallel()
	tasks := numberOf(t, "CHAOS_TASKS", 2000)
	c := startChaos(t, "", 8)
	c.warmUp()
	before := c.belongings()
	publishNumbers(t, c.app, "record", 0, tasks)
	c.killWorkers(tasks, 50)
	c.empty("p")
	c.healthy()
	c.r.holds(c.queue, 0)
	c.account(tasks)
	c.allUp("p", 8)
	c.nothingLeft(before, 8)
	c.stop()
	noneMarked(t, c.mark)
}
