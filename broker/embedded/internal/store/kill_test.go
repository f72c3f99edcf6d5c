package store

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const (
	childDir  = "MAGNE_STORE_CHILD_DIR"
	childBase = "MAGNE_STORE_CHILD_BASE"
)

// TestKillChild is not a test but the process that TestKill kills. It says what
// it does on standard output: "c 5" when message 5 is confirmed, "a 5" before it
// is acknowledged, "s 3" when the first three acknowledgements are on disk.
func TestKillChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		t.Skip("is run by TestKill")
	}
	base, err := strconv.ParseUint(os.Getenv(childBase), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	s, x := open(t, Options{Dir: dir, SegmentBytes: 256 << 10, ReserveBytes: 1 << 20})
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(os.Stdout, format+"\n", args...)
	}
	confirmed := make(chan uint64, 1<<16)
	acks := 0
	for seq := base; ; seq++ {
		if err := x.put(s, killBody(seq), WaiterFunc(func(error) {
			say("c %d", seq)
			confirmed <- seq
		}), Ref{1, seq}); err != nil {
			t.Fatal(err)
		}
		for len(confirmed) > 100 {
			if n := <-confirmed; n%50 != 0 { // some stay, for compaction
				say("a %d", n)
				x.ack(s, Ref{1, n})
				acks++
			}
		}
		if seq%300 == 0 {
			flush(t, s)
			say("s %d", acks)
		}
	}
}

func killBody(seq uint64) string {
	return strings.Repeat(strconv.FormatUint(seq, 10)+",", 1+int(seq%80))
}

// TestKill kills a process that uses the store, again and again, and looks at
// what it leaves.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills processes")
	}
	dir := filepath.Join(t.TempDir(), "store")
	before := map[uint64]bool{} // live when the process started
	for i := range rounds("MAGNE_STORE_KILLS", 4) {
		said := runAndKill(t, dir, uint64(i+1)*1_000_000, 2000+newRand(i).IntN(8000))
		s, x := open(t, Options{Dir: dir, SegmentBytes: 256 << 10, ReserveBytes: 1 << 20})
		said.check(t, x, before)
		clear(before)
		for r := range x.live {
			before[r.Seq] = true
		}
		closeStore(t, s)
	}
}

// killed is what a process had said before it was killed.
type killed struct {
	confirmed []uint64
	acked     []uint64
	durable   int
}

func runAndKill(t *testing.T, dir string, base uint64, lines int) killed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKillChild$", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), childDir+"="+dir, fmt.Sprint(childBase, "=", base))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var k killed
	n := 0
	for scan := bufio.NewScanner(out); scan.Scan(); n++ {
		kind, text, _ := strings.Cut(scan.Text(), " ")
		v, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("the child says %q", scan.Text())
		}
		switch kind {
		case "c":
			k.confirmed = append(k.confirmed, v)
		case "a":
			k.acked = append(k.acked, v)
		case "s":
			k.durable = int(v)
		}
		if n == lines {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || n < lines {
		t.Fatalf("the child ended by itself after %d of %d lines: %v", n, lines, err)
	}
	return k
}

func (k *killed) check(t *testing.T, x *memIndex, before map[uint64]bool) {
	t.Helper()
	if len(k.confirmed) == 0 || k.durable == 0 {
		t.Fatalf("killed too early: %d confirmed, %d acknowledgements on disk", len(k.confirmed), k.durable)
	}
	gone := map[uint64]bool{}
	for i, seq := range k.acked {
		gone[seq] = true
		if _, ok := x.live[Ref{1, seq}]; ok && i < k.durable {
			t.Errorf("message %d came back", seq)
		}
	}
	for _, seq := range slices.Concat(k.confirmed, slices.Collect(maps.Keys(before))) {
		if _, ok := x.live[Ref{1, seq}]; !ok && !gone[seq] {
			t.Errorf("message %d is lost", seq)
		}
	}
	for r, e := range x.live {
		if e.body != killBody(r.Seq) {
			t.Errorf("message %d has body %.30q", r.Seq, e.body)
		}
	}
}
