package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/supervisor"
)

// TestProcessReloadWait prints how long short tasks wait from their publication to
// their begin in a worker, before and during a rolling reload, while a long task keeps
// the other worker busy. To wait for the long task is a failure, to be slow is none.
func TestProcessReloadWait(t *testing.T) {
	t.Parallel()
	mark, record, end := newMark(t), filepath.Join(t.TempDir(), "record"), filepath.Join(t.TempDir(), "end")
	a := start(t, setup{pools: workers(t, "p", mark, fmt.Sprintf(`, RECORD: %q, GENERATION: "one"`, record), "workers: 2\nstart_timeout: 60s")})
	b := dial(t, "amqp://guest:guest@"+a.listen+"/")
	b.task("p", "wait", strconv.Quote(end))
	a.untilNode("router:p", "the long task runs", func(n *supervisor.Node) bool { return number(n.Running) == 1 })

	quiet, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	before := b.shortTasks(record, 0, quiet.Done())
	a.rewrite(`GENERATION: "one"`, `GENERATION: "two"`)
	reload := spawn(t, a.dir, nil, nil, "reload", "--socket", a.socket)
	during := b.shortTasks(record, len(before), reload.exited)
	if code := reload.wait(); code != 0 {
		t.Errorf("reload: exit code %d: %s", code, reload.stderr)
	}
	for when, waits := range map[string][]time.Duration{"before": before, "during": during} {
		slices.Sort(waits)
		t.Logf("%s the rolling reload: %d short tasks waited %v at most, half of them less than %v", when, len(waits), waits[len(waits)-1], waits[len(waits)/2])
	}
	if err := os.WriteFile(end, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a.settled("p", len(before)+len(during)+1)
	if n := b.ready(dead("p")); n != 0 {
		t.Errorf("%d dead letters: the long task was lost", n)
	}
	a.stop()
	noneMarked(t, mark)
}

// shortTasks publishes one each 10 ms, and returns how long each has waited by the
// record, of which it leaves out what was there before.
func (r *rabbit) shortTasks(record string, skip int, until <-chan struct{}) (waits []time.Duration) {
	r.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	sent := 0
	for more := true; more; sent++ {
		r.task("p", "late", fmt.Sprintf("%.6f", float64(time.Now().UnixMicro())/1e6))
		select {
		case <-tick.C:
		case <-until:
			more = false
		}
	}
	var lines []string
	eventually(r.t, "the short tasks are done beside the long one", func() (bool, any) {
		text, _ := os.ReadFile(record) // not there before the first one
		lines = strings.Fields(string(text))
		return len(lines) == skip+sent, len(lines) - skip
	})
	for _, line := range lines[skip:] {
		us, err := strconv.Atoi(line)
		if err != nil {
			r.t.Fatal(err)
		}
		waits = append(waits, time.Duration(us)*time.Microsecond)
	}
	return waits
}
