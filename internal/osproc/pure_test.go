package osproc

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestClassify(t *testing.T) {
	const kill, term = syscall.SIGKILL, syscall.SIGTERM
	for _, c := range []struct {
		name string
		in   circumstances
		want Cause
	}{
		{"exit", circumstances{exitedByOwn: true}, Exited},
		{"exit after TERM", circumstances{exitedByOwn: true, terminated: true, signalSent: term}, Stopped},
		{"TERM", circumstances{signal: term, terminated: true, signalSent: term}, Stopped},
		{"a crash while stopping", circumstances{signal: syscall.SIGSEGV, terminated: true, signalSent: term}, Signaled},
		{"KILL after TERM", circumstances{signal: kill, terminated: true, killed: true, signalSent: term}, Killed},
		{"crash", circumstances{signal: syscall.SIGSEGV}, Signaled},
		{"somebody's KILL", circumstances{signal: kill}, Signaled},
		{"OOM of the cgroup", circumstances{signal: kill, cgroupOOM: true, hostOOMs: 1}, OOMCgroup},
		{"OOM of the cgroup while we killed", circumstances{signal: kill, cgroupOOM: true, killed: true}, OOMCgroup},
		{"OOM of the machine", circumstances{signal: kill, hostOOMs: 1}, OOMHost},
		{"an exit while the machine was short", circumstances{exitedByOwn: true, hostOOMs: 1}, Exited},
		{"our KILL while the machine was short", circumstances{signal: kill, killed: true, hostOOMs: 1}, Killed},
	} {
		if got := classify(c.in); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestExitString(t *testing.T) {
	start := time.Unix(1000, 0)
	exit := func(took time.Duration, e Exit) Exit {
		e.Started, e.Ended = start, start.Add(took)
		return e
	}
	for want, e := range map[string]Exit{
		"exit status 1 after 41.2ms":                                exit(41*time.Millisecond+213*time.Microsecond, Exit{Code: 1}),
		"exit status 0 after 1.23s":                                 exit(1234567*time.Microsecond, Exit{Cause: Stopped}),
		"killed by SIGSEGV (core dumped) after 900µs":               exit(900*time.Microsecond, Exit{Cause: Signaled, Code: -1, Signal: syscall.SIGSEGV, Core: true}),
		"killed by us after 2h0m0s":                                 exit(2*time.Hour, Exit{Cause: Killed, Code: -1, Signal: syscall.SIGKILL}),
		"stopped by SIGTERM after 5s":                               exit(5*time.Second, Exit{Cause: Stopped, Code: -1, Signal: syscall.SIGTERM}),
		"out of memory (cgroup), rss 512 MiB after 1s":              exit(time.Second, Exit{Cause: OOMCgroup, Code: -1, Signal: syscall.SIGKILL, MaxRSS: 512 << 20}),
		"killed, probably out of memory (host), rss 1 MiB after 0s": exit(0, Exit{Cause: OOMHost, Code: -1, Signal: syscall.SIGKILL, MaxRSS: 1 << 20}),
	} {
		if got := e.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestEnv(t *testing.T) {
	t.Setenv("OSPROC_A", "a")
	t.Setenv("OSPROC_B", "b")
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("hunter2\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := Env{
		Inherit: []string{"OSPROC_A", "OSPROC_B", "OSPROC_NOT_SET", "PASS"},
		Set:     map[string]string{"OSPROC_B": "c=d", "PASS": "x"},
		Secrets: map[string]string{"PASS": secret},
	}
	got, err := e.Build()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"OSPROC_A=a", "OSPROC_B=c=d", "PASS=hunter2\n"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if want := "OSPROC_A=a OSPROC_B=c=d PASS=[redacted]"; e.String() != want {
		t.Errorf("got %q, want %q", e, want)
	}

	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, make([]byte, maxSecret+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, e := range map[string]Env{
		"no such file":        {Secrets: map[string]string{"X": filepath.Join(dir, "none")}},
		"more than":           {Secrets: map[string]string{"X": big}},
		`"A=B" is no name`:    {Set: map[string]string{"A=B": ""}},
		`"" is no name`:       {Set: map[string]string{"": ""}},
		"X: a NUL byte in it": {Set: map[string]string{"X": "hunter2\x00"}},
	} {
		_, err := e.Build()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestSink(t *testing.T) {
	now := time.Unix(0, 0)
	var got []Line
	s := newSink(Log{Func: func(l Line) { l.Time = time.Time{}; got = append(got, l) }, MaxLine: 4, Rate: 2, Burst: 2, Tail: 3}, func() time.Time { return now })
	s.pump(Stdout, strings.NewReader("a\n\nabcdef\nlost\nlost\n"))
	now = now.Add(time.Second)
	s.pump(Stderr, strings.NewReader("abcdefghi\nxyz"))
	s.pump(Stdout, strings.NewReader("over\nover\n"))
	if s.left() != 2 || s.total.Load() != 5 {
		t.Errorf("%d lines left out at the end, %d in all", s.left(), s.total.Load())
	}
	want := []Line{
		{Text: "a"},
		{},
		{Stream: Stderr, Text: "abcd", Cut: 5, Dropped: 3},
		{Stream: Stderr, Text: "xyz"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var tail []string
	for _, l := range s.lines() {
		tail = append(tail, l.Stream.String()+" "+l.Text)
	}
	if diff := cmp.Diff([]string{"stderr xyz", "stdout over", "stdout over"}, tail); diff != "" {
		t.Errorf("tail (-want +got):\n%s", diff)
	}
}

// TestLines: whatever the pieces in which it arrives, a log is divided at its
// line feeds.
func TestLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOf(rapid.SampledFrom([]byte("ab\n\xff"))).Draw(t, "text")
		limit := rapid.IntRange(1, 5).Draw(t, "limit")
		var got []byte
		s := newSink(Log{MaxLine: limit, Tail: -1, Func: func(l Line) {
			if len(l.Text) > limit || l.Cut > 0 && len(l.Text) < limit {
				t.Fatalf("limit %d: %+v", limit, l)
			}
			got = append(got, l.Text...)
			got = append(got, bytes.Repeat([]byte{'?'}, l.Cut)...)
			got = append(got, '\n')
		}}, time.Now)
		s.pump(Stdout, iotest.OneByteReader(bytes.NewReader(text)))
		want := append([]byte{}, text...)
		if len(want) > 0 && want[len(want)-1] != '\n' {
			want = append(want, '\n')
		}
		for i, n := 0, 0; i < len(want); i++ {
			if n++; want[i] == '\n' {
				n = 0
			} else if n > limit {
				want[i] = '?'
			}
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

func TestParseStat(t *testing.T) {
	const text = "4242 (a) b (c)) S 7 4242 4240 0 -1 4194560 1 2 3 4 150 25 0 0 20 -5 3 0 987654 1000 321 18446744073709551615 1 1\n"
	got, err := parseStat([]byte(text))
	want := procStat{state: 'S', ppid: 7, pgrp: 4242, session: 4240, utime: 150, stime: 25, threads: 3, starttime: 987654, rss: 321}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestParseSchedstat(t *testing.T) {
	for text, want := range map[string][2]time.Duration{
		"282901061 1014572543 324\n": {282901061, 1014572543}, "0 7": {0, 7}, "282901061 ": {}, "": {}, "off -": {},
	} {
		if ran, waited := parseSchedstat([]byte(text)); ran != want[0] || waited != want[1] {
			t.Errorf("%q: got %d, %d, want %d", text, ran, waited, want)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("1 (a) S 0 1 1 0 -1 4194560 1 2 3 4 1 1 0 0 20 0 1 0 9 1 3 1"))
	f.Add([]byte("1 (a"))
	f.Add([]byte(") S"))
	f.Add([]byte("1 (a) S -"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseStat(b); err == nil && bytes.Count(b, []byte(" ")) < 21 {
			t.Errorf("%q: %+v", b, s)
		}
	})
}

func TestValidate(t *testing.T) {
	for want, s := range map[string]Spec{
		"no command":                {},
		"NUL byte":                  {Command: []string{"a\x00"}},
		"stdin is taken":            {Command: []string{"a"}, Transport: Stdio, Stdin: true},
		"nice 20":                   {Command: []string{"a"}, Nice: 20},
		"oom_score_adj 1001":        {Command: []string{"a"}, OOMScoreAdj: 1001},
		`limit is called "nofiles"`: {Command: []string{"a"}, Rlimits: map[string]uint64{"nofiles": 1}},
	} {
		if err := s.validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// TestSelf: measured once a second at most, and what was used since the time before.
func TestSelf(t *testing.T) {
	var s Self
	at, reads := time.Unix(0, 0), 0
	read := func(cpu time.Duration, err error) func() (Stat, error) {
		return func() (Stat, error) { reads++; return Stat{CPU: cpu, RSS: 1 << 20}, err }
	}
	for _, step := range []struct {
		after, cpu time.Duration
		err        error
		want       Usage
	}{
		{cpu: time.Hour, err: errStat},
		{cpu: time.Hour, want: Usage{RSS: 1 << 20}},
		{after: time.Second / 2, cpu: 2 * time.Hour, want: Usage{RSS: 1 << 20}}, // too early
		{after: 7 * time.Second / 2, cpu: time.Hour + 6*time.Second, want: Usage{RSS: 1 << 20, CPU: 150}},
		{after: time.Second, cpu: time.Hour + 6*time.Second, want: Usage{RSS: 1 << 20}},
	} {
		at = at.Add(step.after)
		if got := s.usage(at, read(step.cpu, step.err)); got != step.want {
			t.Errorf("at %v: got %+v, want %+v", at.UTC(), got, step.want)
		}
	}
	if reads != 4 {
		t.Errorf("read %d times, want 4", reads)
	}
}
