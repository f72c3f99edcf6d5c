package process

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/magne-actors/magne-actors/internal/osproc"
)

// lineLog writes what one process prints to a logger. Its add is an
// osproc.Log.Func: called for one line at a time, on a goroutine of osproc. Make
// it with newLineLog, and call started when the process is.
type lineLog struct {
	log    *slog.Logger // with pool, and slot or task
	redact *redactor
	parse  Parse
	task   func() string // the id of the task that a line belongs to, "" for none; may be nil

	pid   atomic.Int64
	known chan struct{} // closed when pid is set
	sure  bool          // there is no need to wait for known; of add

	missed atomic.Int64 // lines that are not in the log, and of which that has not been said
	said   time.Time    // when it was; of add
}

// sayEvery is how often the log of one process says at most what is not in it: over
// the rate, a line is let through and others are not a thousand times a second.
const sayEvery = time.Second

func newLineLog(log *slog.Logger, redact *redactor, parse Parse) *lineLog {
	return &lineLog{log: log, redact: redact, parse: parse, known: make(chan struct{})}
}

// started tells the number of the process. Call it once.
func (l *lineLog) started(pid int) {
	l.pid.Store(int64(pid))
	close(l.known)
}

// limits translates the bounds for osproc, whose zero is no limit.
func (l Log) limits(f func(osproc.Line)) osproc.Log {
	return osproc.Log{
		Func: f, MaxLine: l.MaxLine, Rate: max(0, cmp.Or(l.Rate, 500)), Burst: l.Burst, Tail: l.Tail,
	}
}

// add logs a line. A process can be quicker than the Start that tells its number,
// which the first line waits for; for a Start that fails it never comes.
func (l *lineLog) add(line osproc.Line) {
	if !l.sure {
		timer := time.NewTimer(time.Second)
		select {
		case <-l.known:
		case <-timer.C:
		}
		timer.Stop()
		l.sure = true
	}
	l.write(line, l.pid.Load())
}

func (l *lineLog) write(line osproc.Line, pid int64) {
	ctx := context.Background()
	level, message, attrs := l.read(l.redact.line(line))
	if l.missed.Add(int64(line.Dropped)) > 0 && line.Time.Sub(l.said) >= sayEvery {
		l.said = line.Time
		l.leftOut(0, pid)
	}
	if !l.log.Enabled(ctx, level) {
		return
	}
	r := slog.NewRecord(line.Time, level, message, 0)
	r.AddAttrs(slog.Int64("pid", pid), slog.String("stream", line.Stream.String()))
	if l.task != nil {
		if id := l.task(); id != "" {
			r.AddAttrs(slog.String("task_id", id))
		}
	}
	if line.Cut > 0 {
		r.AddAttrs(slog.Int("cut_bytes", line.Cut))
	}
	r.AddAttrs(attrs...)
	_ = l.log.Handler().Handle(ctx, r) // as slog.Logger does with the error
}

// leftOut says how many lines are not in the log, if there are any. At the end of a
// process it is called with those that no line has followed.
func (l *lineLog) leftOut(lines int, pid int64) {
	if n := l.missed.Swap(0) + int64(lines); n > 0 {
		l.log.Warn("lines of a process were left out: over logs.rate", "pid", pid, "lines", n)
	}
}

// read takes a line apart.
func (l *lineLog) read(text string) (slog.Level, string, []slog.Attr) {
	var fields map[string]any
	if l.parse != ParseAuto || !strings.HasPrefix(text, "{") || json.Unmarshal([]byte(text), &fields) != nil {
		return slog.LevelInfo, text, nil
	}
	l.redact.fields(fields)
	message, ok := take(fields, "msg", "message", "event").(string)
	if !ok {
		return slog.LevelInfo, text, nil // some object, not a record of a logger
	}
	level := levelOf(take(fields, "level", "levelname", "severity", "lvl"))
	take(fields, "time", "ts", "timestamp") // the line has its own
	if len(fields) == 0 {
		return level, message, nil
	}
	group := make([]slog.Attr, 0, len(fields))
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		group = append(group, slog.Any(name, fields[name]))
	}
	return level, message, []slog.Attr{slog.GroupAttrs("fields", group...)} // no name of theirs can pass for one of ours
}

// take removes the first key that is there and returns its value.
func take(fields map[string]any, keys ...string) any {
	for _, k := range keys {
		if v, ok := fields[k]; ok {
			delete(fields, k)
			return v
		}
	}
	return nil
}

// levelOf reads a level as the usual loggers write it: a word, or the numbers of
// pino and bunyan.
func levelOf(v any) slog.Level {
	switch v := v.(type) {
	case string:
		switch strings.ToLower(v) {
		case "trace", "debug":
			return slog.LevelDebug
		case "warn", "warning":
			return slog.LevelWarn
		case "error", "err", "fatal", "critical", "panic", "alert", "emergency":
			return slog.LevelError
		}
	case float64:
		return slog.Level(int(min(max(v, 20), 50))/10*4 - 12)
	}
	return slog.LevelInfo
}
