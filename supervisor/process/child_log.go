package process

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/magne-actors/magne-actors/internal/wire"
)

// frameLog writes the log frames of one process to the logger, with the same
// limits as its lines. It belongs to the goroutine that reads the frames.
type frameLog struct {
	c       *child
	rate    float64 // a second; 0: no limit
	burst   float64
	tokens  float64
	last    time.Time // when tokens was right
	dropped int
	said    time.Time // when it was last said how many
}

func (c *child) newFrameLog() *frameLog {
	l := c.opts.Log.limits(nil)
	burst := float64(cmp.Or(l.Burst, 1000))
	return &frameLog{c: c, rate: l.Rate, burst: burst, tokens: burst, last: time.Now()}
}

func (l *frameLog) write(f *wire.Frame) {
	now, ctx := time.Now(), context.Background()
	if !l.allow(now) {
		l.dropped++
		l.c.unlogged.Add(1)
		return
	}
	if now.Sub(l.said) >= sayEvery {
		l.said = now
		l.leftOut()
	}
	level := levelOf(f.Level)
	if !l.c.log.Enabled(ctx, level) {
		return
	}
	r := slog.NewRecord(now, level, f.Message, 0)
	r.AddAttrs(l.pid())
	if t := l.c.find(f.ID); t != nil {
		r.AddAttrs(slog.String("task", t.name), slog.String("task_id", t.id))
	}
	r.AddAttrs(l.fields(f.Fields)...)
	_ = l.c.log.Handler().Handle(ctx, r) // as slog.Logger does with the error
}

func (l *frameLog) pid() slog.Attr { return slog.Int64("pid", l.c.lines.pid.Load()) }

// leftOut says how many frames are not in the log and not yet said to be
// missing, if there are any.
func (l *frameLog) leftOut() {
	if l.dropped > 0 {
		l.c.log.LogAttrs(context.Background(), slog.LevelWarn, "log frames of a process were left out: over logs.rate", l.pid(), slog.Int("frames", l.dropped))
		l.dropped = 0
	}
}

// allow takes a token out of the bucket.
func (l *frameLog) allow(now time.Time) bool {
	if l.rate <= 0 {
		return true
	}
	l.tokens = min(l.burst, l.tokens+l.rate*now.Sub(l.last).Seconds())
	l.last = now
	if l.tokens < 1 {
		return false
	}
	l.tokens--
	return true
}

// fields are a group, so that no name of the process's passes for one of ours.
func (l *frameLog) fields(raw json.RawMessage) []slog.Attr {
	var fields map[string]any
	if len(raw) == 0 || json.Unmarshal([]byte(l.c.redact.text(string(raw))), &fields) != nil || len(fields) == 0 {
		return nil
	}
	l.c.redact.fields(fields)
	group := make([]slog.Attr, 0, len(fields))
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		group = append(group, slog.Any(name, fields[name]))
	}
	return []slog.Attr{slog.GroupAttrs("fields", group...)}
}

// find is the task with a wire id, if it is shown.
func (c *child) find(id uint64) *call {
	if id == 0 {
		return nil
	}
	for i := range c.tasks {
		if t := c.tasks[i].Load(); t != nil && t.frame.ID == id {
			return t
		}
	}
	return nil
}
