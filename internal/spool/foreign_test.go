package spool_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/ladder"
	"github.com/magne-actors/magne-actors/internal/spool"
)

// TestForeignFiles are named and left alone, whatever they are, and what the spool has
// is published beside them. A segment that somebody has renamed is no foreign one.
func TestForeignFiles(t *testing.T) {
	dir := t.TempDir()
	ours := segmentOf(t, dir, 2)
	if err := os.Rename(ours, filepath.Join(dir, "copy.seg")); err != nil {
		t.Fatal(err)
	}
	foreign := map[string]string{"empty.seg": "", "video.seg": strings.Repeat("no segment ", 100), "0-1.seg": "MGS"}
	for name, text := range foreign {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "0000000000000000001-1.seg"), 0o700); err != nil {
		t.Fatal(err)
	}
	if sum := look(t, dir); sum.Messages != 2 || len(sum.Foreign) != 4 || sum.Damaged != 0 {
		t.Errorf("look: %+v", sum)
	}
	var log bytes.Buffer
	s, err := spool.Open(spool.Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if got := drain(t, s); len(got) != 2 {
		t.Errorf("published %v", ids(got))
	}
	shut(t, s)
	if n := strings.Count(log.String(), "left alone"); n != 4 || !strings.Contains(log.String(), "video.seg") {
		t.Errorf("%d files named:\n%s", n, &log)
	}
	for name, text := range foreign {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != text {
			t.Errorf("%s: %v, %d bytes", name, err, len(got))
		}
	}
}

// TestLeftovers of a crash while a segment was made are removed; one that is just being
// made, one that a process owns and one with another name are not.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	const left, owned, fresh, other = "0000000000000000001-1.seg.new", "0000000000000000002-1.seg.new", "0000000000000000003-1.seg.new", "notes.new"
	for _, name := range []string{left, owned, fresh, other} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("MGS"), 0o600); err != nil {
			t.Fatal(err)
		}
		if name != fresh {
			if err := os.Chtimes(path, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
	}
	f, err := os.Open(filepath.Join(dir, owned))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := spool.Lock(f); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, 0)
	defer shut(t, s)
	if sum := look(t, dir); sum.Damaged != 0 || len(sum.Kept)+len(sum.Foreign)+sum.Messages != 0 {
		t.Errorf("look: %+v", sum)
	}
	entries, err := os.ReadDir(dir)
	if names := fmt.Sprint(entries); err != nil || strings.Contains(names, left) ||
		!strings.Contains(names, owned) || !strings.Contains(names, fresh) || !strings.Contains(names, other) {
		t.Errorf("there are %s, %v", names, err)
	}
}

// ladderless is a broker without ladder until somebody declares it, and perhaps without
// the queue.
type ladderless struct {
	recorder
	ladders, exits int
	queue          bool
}

func (s *ladderless) Apply(_ context.Context, t broker.Topology) error {
	switch {
	case len(t.Exchanges) > 0:
		s.ladders++
	case s.ladders == 0 || !s.queue:
		return fmt.Errorf("bind: %w", broker.ErrTopology)
	default:
		s.exits++
	}
	return nil
}

// TestDelayedMessagesMakeTheLadder where it is missing, once for a session; a message
// whose queue is missing stays.
func TestDelayedMessagesMakeTheLadder(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	defer shut(t, s)
	for _, id := range []string{"1", "2", "3"} {
		m := message(id)
		m.Exchange, m.RoutingKey = ladder.Route(time.Hour, "work")
		m.Headers = map[string]any{ladder.HeaderQueue: "work"}
		accepted(t, s, m)(true)
	}
	c := &ladderless{}
	if left, err := s.Drain(t.Context(), c); left != 3 || err != nil || c.ladders != 1 || len(c.got) != 0 {
		t.Errorf("without the queue: %d left, %v, %d ladders, %d published", left, err, c.ladders, len(c.got))
	}
	if e := s.Stats().LastError; !strings.Contains(e, `queue "work"`) {
		t.Errorf("the spool says %q", e)
	}
	c.queue = true
	if left, err := s.Drain(t.Context(), c); left != 0 || err != nil || c.ladders != 1 || c.exits != 1 || len(c.got) != 3 {
		t.Errorf("%d left, %v, %d ladders, %d bindings, %d published", left, err, c.ladders, c.exits, len(c.got))
	}
}
