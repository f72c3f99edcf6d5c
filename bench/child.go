package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"time"
)

// job is what a child is to measure. It goes to the child's standard input:
// arguments can be read by everybody on the machine, and the URL has a password.
type job struct {
	System, Scenario, URL, Queue string
	N, High, Low, Workers        int
	Profile                      string
}

// event is one line of a child's standard output: progress, and at the end a
// sample or the reason why there is none.
type event struct {
	Settled int64
	Sample  *sample
	Err     string
}

// progressEvery is how often a child tells how far it is. It dies when nobody
// listens any more: writing to a closed standard output is a SIGPIPE.
const progressEvery = 250 * time.Millisecond

// child measures one job in this process and returns the exit status.
func child(in io.Reader, out, errOut io.Writer) int {
	enc := json.NewEncoder(out)
	s, err := runJob(in, enc)
	e := event{Sample: s}
	if err != nil {
		e.Err = err.Error()
	}
	if err := enc.Encode(e); err != nil {
		fmt.Fprintln(errOut, "bench:", err)
		return exitError
	}
	return exitOK
}

func runJob(in io.Reader, enc *json.Encoder) (*sample, error) {
	j := new(job)
	if err := json.NewDecoder(in).Decode(j); err != nil {
		return nil, err
	}
	sc, err := scenarioByName(j.Scenario)
	if err != nil {
		return nil, err
	}
	system := runActors
	if j.System == systemRaw {
		system = sc.raw
	}
	stopProfile, err := startProfile(j)
	if err != nil {
		return nil, err
	}
	m := newMeter(j.N)
	done := make(chan error, 1)
	go func() { done <- system(context.Background(), j, m) }()
	if err := follow(m, done, enc); err != nil {
		return nil, err
	}
	stopProfile()
	select {
	case <-m.finished:
		return m.sample()
	default:
		return nil, fmt.Errorf("ended after %d of %d messages", m.settled.Load(), j.N)
	}
}

// stalled is how long nothing may be settled: the raw loop on one channel makes
// RabbitMQ pause for half a minute.
const stalled = 3 * time.Minute

// follow reports progress until the system has ended.
func follow(m *meter, done <-chan error, enc *json.Encoder) error {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	settled, since := int64(0), time.Now()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			now := m.settled.Load()
			if err := enc.Encode(event{Settled: now}); err != nil {
				return err
			}
			if now != settled {
				settled, since = now, time.Now()
			}
			if time.Since(since) > stalled {
				return fmt.Errorf("nothing was settled for %v, after %d of %d messages", stalled, now, m.n)
			}
		}
	}
}

func startProfile(j *job) (stop func(), err error) {
	if j.Profile == "" {
		return func() {}, nil
	}
	f, err := os.Create(filepath.Join(j.Profile, j.Scenario+"."+j.System+".pprof"))
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		f.Close()
	}, nil
}

// spawn runs j in a child and calls settled with its progress. It blocks until
// the child has ended; the end of ctx kills it.
func spawn(ctx context.Context, j *job, settled func(int64)) (*sample, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	input, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, childArg)
	var said bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s, err := listen(out, settled)
	if waitErr := cmd.Wait(); err == nil {
		err = waitErr
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", j.System, err, bytes.TrimSpace(said.Bytes()))
	}
	return s, nil
}

// listen reads the events of a child.
func listen(out io.Reader, settled func(int64)) (*sample, error) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var e event
		switch err := json.Unmarshal(lines.Bytes(), &e); {
		case err != nil:
			return nil, fmt.Errorf("the measured process printed %q", lines.Text())
		case e.Err != "":
			return nil, errors.New(e.Err)
		case e.Sample != nil:
			return e.Sample, nil
		default:
			settled(e.Settled)
		}
	}
	return nil, errors.Join(lines.Err(), errors.New("the measured process died"))
}
