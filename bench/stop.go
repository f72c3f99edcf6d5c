package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/magne-actors/magne-actors/internal/testenv"
	"github.com/magne-actors/magne-actors/supervisor"
)

// stopArg is the scenario that measures how long an instance takes to end.
const stopArg = "stop"

// stopOptions are its command line.
type stopOptions struct {
	ownOptions

	workers int
}

// stopRow is the result.
type stopRow struct {
	System   string    `json:"system"`
	Scenario string    `json:"scenario"`
	Workers  int       `json:"workers"`
	StopMS   float64   `json:"stop_ms"` // from SIGTERM until the instance has ended; its processes end before it
	Go       string    `json:"go"`
	CPUs     int       `json:"cpus"`
	Runs     []float64 `json:"runs"` // stop_ms of each
}

func runStop(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o := new(stopOptions)
	err := o.parse(stopArg, args, stderr, func(fs *flag.FlagSet) {
		fs.IntVar(&o.workers, "workers", 8, "Python `processes`")
	}, func() error {
		if o.workers < 1 {
			return errors.New("-workers must be at least 1")
		}
		return nil
	})
	if err != nil {
		return refuse(err, stderr)
	}
	return show(&o.ownOptions, stdout, stderr, func(p *progress) ([]stopRow, error) { return measureStops(ctx, o, p) }, stopTable)
}

// measureStops stops an instance o.runs times.
func measureStops(ctx context.Context, o *stopOptions, p *progress) ([]stopRow, error) {
	p.say("%s: building magne-actors", stopArg)
	rig, err := newStopRig(ctx, o.workers)
	if err != nil {
		return nil, err
	}
	defer rig.remove()
	r := stopRow{System: systemActors, Scenario: stopArg, Workers: o.workers, Go: runtime.Version(), CPUs: runtime.NumCPU()}
	for i := range o.runs {
		p.say("%s: run %d of %d", stopArg, i+1, o.runs)
		took, err := rig.stop(ctx)
		if err != nil {
			return nil, err
		}
		r.Runs = append(r.Runs, milliseconds(took))
	}
	r.StopMS = median(r.Runs, func(ms float64) float64 { return ms })
	return []stopRow{r}, nil
}

func stopTable(w io.Writer, rows []stopRow) error {
	r := rows[0]
	_, err := fmt.Fprintf(w, "stop with %d idle Python processes, median of %d, %s, %d CPUs: %.1f ms, from %.1f to %.1f\n",
		r.Workers, len(r.Runs), r.Go, r.CPUs, r.StopMS, slices.Min(r.Runs), slices.Max(r.Runs))
	return err
}

// stopRig is the binary and the directory in which it runs.
type stopRig struct {
	dir, binary string
	workers     int
}

func newStopRig(ctx context.Context, workers int) (_ *stopRig, err error) {
	r := &stopRig{workers: workers}
	sdk, err := findSDK()
	if err != nil {
		return nil, err
	}
	if r.dir, err = os.MkdirTemp("", "magne-stop-"); err != nil {
		return nil, err
	}
	r.binary = filepath.Join(r.dir, "magne-actors")
	build := exec.CommandContext(ctx, "go", "build", "-o", r.binary, "github.com/magne-actors/magne-actors/cmd/magne-actors")
	if out, err := build.CombinedOutput(); err != nil {
		r.remove()
		return nil, fmt.Errorf("build magne-actors: %w\n%s", err, out)
	}
	if err := r.configure(sdk); err != nil {
		r.remove()
		return nil, err
	}
	return r, nil
}

func (r *stopRig) remove() { _ = os.RemoveAll(r.dir) } // of the system's temporary directory

// configure writes the worker and a configuration with the embedded broker.
func (r *stopRig) configure(sdk string) error {
	port, err := testenv.FreePort()
	if err != nil {
		return err
	}
	config := fmt.Sprintf(`version: 1
broker: {embedded: {listen: "127.0.0.1:%d", dir: ./data}}
control: {socket: ./magne.sock}
pools:
  work:
    mode: process
    workers: %d
    process: {command: [python3, worker.py], env: {PYTHONPATH: %q, PYTHONDONTWRITEBYTECODE: "1"}}
`, port, r.workers, sdk)
	return errors.Join(
		os.WriteFile(filepath.Join(r.dir, "worker.py"), workerPy, 0o600),
		os.WriteFile(filepath.Join(r.dir, "magne.yaml"), []byte(config), 0o600),
	)
}

// stop starts an instance and returns how long it takes to end after SIGTERM, when
// all of its processes are up.
func (r *stopRig) stop(ctx context.Context) (time.Duration, error) {
	var said strings.Builder
	run := exec.CommandContext(ctx, r.binary, "run")
	run.Dir, run.Stderr = r.dir, &said
	if err := run.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- run.Wait() }()
	up := r.allUp(ctx, ended)
	begin := time.Now()
	if err := run.Process.Signal(syscall.SIGTERM); err != nil && up == nil {
		up = err
	}
	if up != nil {
		_ = run.Process.Kill() // it may have ended
	}
	err := <-ended
	took := time.Since(begin)
	if err := errors.Join(up, err); err != nil {
		return 0, fmt.Errorf("%w\n%s", err, said.String())
	}
	return took, nil
}

// bootLimit is how long an instance may take until all its processes are up.
const bootLimit = time.Minute

// allUp waits until the instance says that all of its processes are up.
func (r *stopRig) allUp(ctx context.Context, ended chan error) error {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case err := <-ended:
			ended <- nil
			return fmt.Errorf("it ended by itself: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("its processes are not up after %v: %w", bootLimit, context.Cause(ctx))
		}
		tree := exec.CommandContext(ctx, r.binary, "tree", "-o", "json")
		tree.Dir = r.dir
		out, err := tree.Output()
		if err != nil {
			continue // it does not listen yet, or is degraded while they start
		}
		root := new(supervisor.Node)
		if err := json.Unmarshal(out, root); err != nil {
			return fmt.Errorf("tree: %w", err)
		}
		if up(root) == r.workers {
			return nil
		}
	}
}

// up counts the processes that run.
func up(n *supervisor.Node) (count int) {
	if n.Kind == "slot" && n.State == "up" {
		count++
	}
	for _, c := range n.Children {
		count += up(c)
	}
	return count
}
