package spool_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/fakebroker"
	"github.com/magne-actors/magne-actors/internal/spool"
)

const patience = time.Minute

type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func open(t fataler, dir string, max int64) *spool.Spool {
	t.Helper()
	s, err := spool.Open(spool.Options{Dir: dir, MaxBytes: max})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func shut(t fataler, s *spool.Spool) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// put waits until p is accepted or refused.
func put(s *spool.Spool, p *broker.Publication) (release func(bool), err error) {
	done := make(chan struct{})
	s.Put(p, func(r func(bool), e error) {
		release, err = r, e
		close(done)
	})
	<-done
	return release, err
}

func accepted(t fataler, s *spool.Spool, p *broker.Publication) (release func(bool)) {
	t.Helper()
	release, err := put(s, p)
	if err != nil {
		t.Fatal(err)
	}
	return release
}

// keep puts messages that are to be published.
func keep(t fataler, s *spool.Spool, ids ...string) {
	t.Helper()
	for _, id := range ids {
		accepted(t, s, message(id))(true)
	}
}

func session(t fataler, b *fakebroker.Broker, queue string) broker.Session {
	t.Helper()
	c, err := b.Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Declare(context.Background(), broker.Queue{Name: queue}); err != nil {
		t.Fatal(err)
	}
	return c
}

// drain publishes what waits, and returns what the queue work has got.
func drain(t fataler, s *spool.Spool) []broker.Publication {
	t.Helper()
	b := fakebroker.New()
	c := session(t, b, "work")
	defer c.Close(context.Background())
	if left, err := s.Drain(context.Background(), c); left != 0 || err != nil {
		t.Fatalf("left %d, error %v", left, err)
	}
	return b.Ready("work")
}

func ids(list []broker.Publication) []string {
	var out []string
	for _, p := range list {
		out = append(out, p.MessageID)
	}
	return out
}

func look(t fataler, dir string) spool.Summary {
	t.Helper()
	sum, err := spool.Look(dir)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// TestRoundTrip: what comes out is what was put in, types of headers included.
func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	want := broker.Publication{
		Properties: broker.Properties{
			ContentType: "application/json", ContentEncoding: "gzip", MessageID: "m", CorrelationID: "c\xff", Type: "t",
			ReplyTo: "r", Expiration: "1000", AppID: "a", Timestamp: time.Unix(1e9, 0).UTC(), Priority: 3, Persistent: true,
			Headers: map[string]any{"i32": int32(1), "i64": int64(2), "f": 1.5, "s": "x", "b": []byte{0, 255}, "t": map[string]any{"deep": true}, "l": []any{int64(1)}},
		},
		Exchange: "x", RoutingKey: "work", Body: []byte{0, 1, 255},
	}
	s := open(t, dir, 0)
	accepted(t, s, &want)(true)
	shut(t, s)
	s = open(t, dir, 0) // by way of the disk
	defer shut(t, s)
	recorder := &recorder{Session: session(t, fakebroker.New(), "work")}
	defer recorder.Close(t.Context())
	if left, err := s.Drain(t.Context(), recorder); left != 0 || err != nil {
		t.Fatalf("left %d, error %v", left, err)
	}
	if diff := cmp.Diff([]broker.Publication{want}, recorder.got); diff != "" {
		t.Error(diff)
	}
}

// recorder confirms everything.
type recorder struct {
	broker.Session
	got []broker.Publication
}

func (r *recorder) Publish(_ context.Context, p *broker.Publication, done func(error)) error {
	r.got = append(r.got, *p)
	done(nil)
	return nil
}

// TestTwoSteps: nothing is published before it is released, and not at all when it
// was withdrawn; without an answer, because the process has died, it is.
func TestTwoSteps(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	held, withdrawn, kept := accepted(t, s, message("held")), accepted(t, s, message("withdrawn")), accepted(t, s, message("kept"))
	withdrawn(false)
	kept(true)
	if got := ids(drain(t, s)); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("published %q, want only what was released", got)
	}
	if st := s.Stats(); st.Held != 1 || st.Messages != 1 || st.Withdrawn != 1 || st.Published != 1 {
		t.Errorf("%+v", st)
	}
	shut(t, s)
	held(true) // too late for this Spool, and no harm
	s = open(t, dir, 0)
	if got := ids(drain(t, s)); !slices.Equal(got, []string{"held"}) {
		t.Errorf("after another start: published %q, want what nobody had withdrawn", got)
	}
	shut(t, s)
	if sum := look(t, dir); sum.Messages != 0 || sum.Bytes != 0 {
		t.Errorf("an empty spool has %+v", sum)
	}
}

// TestBound: what does not fit is refused, and the bound holds for all processes
// together.
func TestBound(t *testing.T) {
	const bound = 100 << 10
	dir := t.TempDir()
	first, second := open(t, dir, bound), open(t, dir, bound)
	big := message("big")
	big.Body = make([]byte, 30<<10)
	n := 0
	for _, s := range []*spool.Spool{first, second, first, second, first, second} {
		release, err := put(s, big)
		switch {
		case err == nil:
			n++
			release(true)
		case !errors.Is(err, spool.ErrFull):
			t.Fatal(err)
		}
		if sum := look(t, dir); sum.Bytes > bound || sum.Messages != n {
			t.Fatalf("the directory has %d messages in %d bytes, want %d in at most %d", sum.Messages, sum.Bytes, n, bound)
		}
	}
	if n != 3 {
		t.Errorf("%d messages of 30 KiB fit 100 KiB", n)
	}
	drain(t, first)
	shut(t, second)
	shut(t, first)
	again := open(t, dir, bound)
	defer shut(t, again)
	if got := drain(t, again); len(got)+int(first.Stats().Published) != 3 {
		t.Errorf("published %d and %d, want 3 in all", first.Stats().Published, len(got))
	}
	keep(t, again, "there is room again")
}

// TestKilled: what a process had accepted when it was killed with -9 is published
// by the next one, each once.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	want := map[string]bool{}
	for range 3 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "SPOOL_TEST_CHILD="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			want[lines.Text()] = true
			if n == 50 {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // it was killed
	}
	if len(want) < 150 {
		t.Fatalf("only %d were accepted", len(want))
	}
	s := open(t, dir, 0)
	defer shut(t, s)
	got := map[string]int{}
	for _, id := range ids(drain(t, s)) {
		got[id]++
		delete(want, id)
	}
	if len(want) > 0 {
		t.Errorf("lost after they were accepted: %v", want)
	}
	for id, n := range got {
		if n != 1 {
			t.Errorf("%s published %d times", id, n)
		}
	}
}

// TestOwners: nobody takes what a living process has, and everybody what a dead
// one had.
func TestOwners(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir, 0)
	keep(t, first, "a")
	second := open(t, dir, 0)
	defer shut(t, second)
	if got := drain(t, second); len(got) > 0 {
		t.Errorf("published what another one has: %q", ids(got))
	}
	if sum := look(t, dir); len(sum.Owners) != 1 || !sum.Owners[0].Alive || sum.Owners[0].PID != os.Getpid() || sum.Oldest.IsZero() {
		t.Errorf("%+v", sum)
	}
	shut(t, first)
	if sum := look(t, dir); len(sum.Owners) != 1 || sum.Owners[0].Alive {
		t.Errorf("after its end: %+v", sum)
	}
	b := fakebroker.New()
	c := session(t, b, "work")
	defer c.Close(t.Context())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		second.Flush(ctx, c) // looks for orphans first
		close(ended)
	}()
	eventually(t, "the orphan is published", func() bool { return b.Len("work") == 1 })
	cancel()
	<-ended
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// TestRefusals: what the broker refuses is tried again, and is in nobody's way.
func TestRefusals(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	defer shut(t, s)
	keep(t, s, "a", "b")
	b := fakebroker.New()
	c := session(t, b, "work")
	defer c.Close(t.Context())
	b.Refuse(broker.ErrRefused)
	if left, err := s.Drain(t.Context(), c); left != 2 || err != nil {
		t.Errorf("left %d, error %v, want 2 that were tried", left, err)
	}
	if st := s.Stats(); st.Retrying != 2 || !strings.Contains(st.LastError, "refused") {
		t.Errorf("%+v", st)
	}
	if s.Behind() {
		t.Error("Behind, although all were tried")
	}
	b.Refuse(nil)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		s.Flush(ctx, c)
		close(ended)
	}()
	keep(t, s, "c")
	eventually(t, "all are published", func() bool { return b.Len("work") == 3 })
	eventually(t, "none is left", func() bool { return s.Pending() == 0 })
	cancel()
	<-ended
}

// TestDisk: a disk that is full, or that fails, refuses what it did not take and
// loses nothing that it did.
func TestDisk(t *testing.T) {
	var full, sick atomic.Bool
	for name, fault := range map[string]*atomic.Bool{"full": &full, "sync fails": &sick} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, 0)
			s.Break(func(f *os.File, b []byte, at int64) (int, error) {
				if full.Load() {
					n, _ := f.WriteAt(b[:len(b)/2], at)
					return n, syscall.ENOSPC
				}
				return f.WriteAt(b, at)
			}, func(f *os.File) error {
				if sick.Load() {
					return syscall.EIO
				}
				return f.Sync()
			})
			keep(t, s, "before")
			fault.Store(true)
			_, err := put(s, message("meanwhile"))
			if err == nil || fault == &full && !errors.Is(err, spool.ErrFull) {
				t.Errorf("meanwhile: %v", err)
			}
			fault.Store(false)
			keep(t, s, "after")
			shut(t, s)
			s = open(t, dir, 0)
			defer shut(t, s)
			if got := ids(drain(t, s)); !slices.Equal(got, []string{"before", "after"}) {
				t.Errorf("published %q", got)
			}
			if st := s.Stats(); st.Damaged != 0 {
				t.Errorf("%d bytes damaged", st.Damaged)
			}
		})
	}
}

// segmentOf writes n messages, of which done are published, and returns the file.
func segmentOf(t fataler, dir string, n int) string {
	t.Helper()
	s := open(t, dir, 0)
	for i := range n {
		keep(t, s, fmt.Sprint(i))
	}
	shut(t, s)
	files, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	return files[0]
}

// TestDamage cuts a segment off anywhere, or spoils a byte anywhere: whole
// messages elsewhere are published all the same.
func TestDamage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "spool") //nolint:usetesting // a directory for each of the checks, not for all
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		const n = 5
		file := segmentOf(t, dir, n)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		bounds := spool.Bounds(text)
		at := rapid.Int64Range(16, int64(len(text))-1).Draw(t, "at")
		cut := rapid.Bool().Draw(t, "cut")
		if cut {
			text = text[:at]
		} else {
			text[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		var want []string
		for i, b := range bounds {
			if cut && b[1] <= at || !cut && (at < b[0] || at >= b[1]) {
				want = append(want, fmt.Sprint(i))
			}
		}
		s := open(t, dir, 0)
		got := ids(drain(t, s))
		shut(t, s)
		if !slices.Equal(got, want) {
			t.Errorf("published %q, want %q", got, want)
		}
		if sum := look(t, dir); sum.Messages != 0 || cut && len(sum.Kept) > 0 {
			t.Errorf("what is left: %+v", sum)
		}
	})
}

// TestDrop gives up what waits, damaged files included.
func TestDrop(t *testing.T) {
	dir := t.TempDir()
	file := segmentOf(t, dir, 3)
	if err := os.WriteFile(strings.TrimSuffix(file, ".seg")+".damaged", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, 0)
	if n, err := s.Drop(); n != 3 || err != nil {
		t.Errorf("dropped %d, error %v", n, err)
	}
	shut(t, s)
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left %v, error %v", left, err)
	}
}

func TestClosed(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	shut(t, s)
	if _, err := put(s, message("late")); !errors.Is(err, spool.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if _, err := spool.Open(spool.Options{}); err == nil {
		t.Error("opened without a directory")
	}
	if sum, err := spool.Look(filepath.Join(t.TempDir(), "none")); err != nil || sum.Messages != 0 {
		t.Errorf("a directory that is missing: %+v, %v", sum, err)
	}
}

func TestInvalid(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	defer shut(t, s)
	p := message("too long")
	p.RoutingKey = strings.Repeat("x", 256)
	if _, err := put(s, p); !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("got %v, want what no broker takes refused", err)
	}
}
