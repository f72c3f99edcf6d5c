package process_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/supervisor/process"
)

// Workers are killed at random, by somebody else, while they run thousands of
// tasks. Every task is done in the end, and nothing is left.
func TestChaos(t *testing.T) {
	const tasks = 5000
	descriptorsBefore, threadsBefore := descriptors(t), threads(t)
	o := options("worker", "chaos")
	mark := "PROCESS_TEST=chaos" + strconv.Itoa(os.Getpid())
	o.Spec.Env = append(o.Spec.Env, mark)
	o.Recycle.MaxTasks, o.Pipeline = 200, 4
	g := newRig(t, rigOptions{slots: 4, options: o})
	g.ready()

	queue := make(chan int, tasks)
	for i := range tasks {
		queue <- i
	}
	done := make([]atomic.Int32, tasks)
	var left atomic.Int64
	left.Store(int64(tasks))
	finished, pulse := make(chan struct{}), make(chan struct{}, tasks)
	var lost, refused, killed atomic.Int64
	var wg sync.WaitGroup
	for n := range len(g.slots) * o.Pipeline {
		i := n % len(g.slots)
		s := g.slots[i]
		wg.Go(func() {
			for {
				select {
				case <-finished:
					return
				case n := <-queue:
					g.awaitAble(i)
					err := s.Run(context.Background(), message("ok"))
					switch _, dead := errors.AsType[*process.LostError](err); {
					case err == nil:
						done[n].Add(1)
						pulse <- struct{}{}
						if left.Add(-1) == 0 {
							close(finished)
						}
						continue
					case dead:
						lost.Add(1)
					case errors.Is(err, process.ErrNotStarted):
						refused.Add(1)
					default:
						t.Errorf("task %d: %v", n, err)
					}
					queue <- n
				}
			}
		})
	}
	wg.Go(func() { // the killer comes after every so many tasks, so that some get done
		random := rand.New(rand.NewPCG(1, 2))
		for {
			select {
			case <-finished:
				return
			case <-pulse:
			}
			if i := random.IntN(len(g.slots)); random.IntN(40) == 0 && g.slots[i].Signal(syscall.SIGKILL) == nil {
				killed.Add(1)
			}
		}
	})
	wg.Wait()
	for n := range done {
		if got := done[n].Load(); got != 1 {
			t.Errorf("task %d: done %d times", n, got)
		}
	}
	if killed.Load() == 0 {
		t.Error("nothing was killed")
	}
	if err := g.stop(); err != nil {
		t.Error(err)
	}
	t.Logf("%d tasks, %d kills, %d lost, %d refused", tasks, killed.Load(), lost.Load(), refused.Load())
	if left := marked(mark); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if z := zombies(t); len(z) > 0 {
		t.Errorf("zombies: %v", z)
	}
	if after := descriptors(t); after > descriptorsBefore {
		t.Errorf("%d descriptors, before %d", after, descriptorsBefore)
	}
	if after := threads(t); after > threadsBefore+2*runtime.GOMAXPROCS(0)+8 {
		t.Errorf("%d threads, before %d", after, threadsBefore)
	}
}

// awaitAble blocks until slot i can take a task.
func (g *rig) awaitAble(i int) {
	for !g.able[i].Load() {
		select {
		case <-g.note:
		case <-time.After(time.Millisecond):
		}
	}
}

func threads(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// zombies are our dead children that nobody has reaped.
func zombies(t *testing.T) []string {
	t.Helper()
	var found []string
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		children, _ := os.ReadFile("/proc/self/task/" + task.Name() + "/children")
		for pid := range strings.FieldsSeq(string(children)) {
			stat, _ := os.ReadFile("/proc/" + pid + "/stat")
			if i := strings.LastIndexByte(string(stat), ')'); i > 0 && stat[i+2] == 'Z' {
				found = append(found, pid)
			}
		}
	}
	return found
}
