package osproc

import (
	"bytes"
	"cmp"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Stream is where a line came from.
type Stream uint8

const (
	Stdout Stream = iota
	Stderr
)

func (s Stream) String() string { return [...]string{"stdout", "stderr"}[s] }

// Line is a line of the log of a process, without its LF. It may hold any bytes.
type Line struct {
	Stream  Stream
	Time    time.Time // when its end was read
	Text    string
	Cut     int // bytes that are missing at its end because it was too long
	Dropped int // lines before it that exceeded the rate
}

// Log says what becomes of stdout and stderr. The zero value keeps the last 64
// lines for the Exit.
type Log struct {
	// Func gets every line within the rate, one at a time. While it blocks
	// nothing is read, and a process that prints much waits.
	Func    func(Line)
	MaxLine int     // bytes; default 16 KiB
	Rate    float64 // lines a second; default: no limit
	Burst   int     // lines above the rate; default 1000
	Tail    int     // lines for Proc.Tail and Exit.Tail; default 64, negative: none
}

// sink receives the lines of both streams.
type sink struct {
	mu      sync.Mutex
	log     Log
	now     func() time.Time
	tail    []Line // a ring once it is full
	next    int    // where the next line of the ring goes
	tokens  float64
	last    time.Time // when tokens was right
	dropped int       // since the last line that Func got
	total   atomic.Int64
}

func newSink(l Log, now func() time.Time) *sink {
	l.MaxLine, l.Burst, l.Tail = cmp.Or(l.MaxLine, 16<<10), cmp.Or(l.Burst, 1000), cmp.Or(l.Tail, 64)
	return &sink{log: l, now: now, tokens: float64(l.Burst), last: now()}
}

func (s *sink) add(stream Stream, text []byte, cut int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := Line{Stream: stream, Time: s.now(), Text: string(text), Cut: cut}
	s.remember(line) // also when it is dropped: an autopsy wants the end
	if !s.allow(line.Time) {
		s.dropped++
		s.total.Add(1)
		return
	}
	line.Dropped, s.dropped = s.dropped, 0
	if s.log.Func != nil {
		s.log.Func(line)
	}
}

// allow takes a token out of the bucket.
func (s *sink) allow(now time.Time) bool {
	if s.log.Rate <= 0 {
		return true
	}
	s.tokens = min(float64(s.log.Burst), s.tokens+s.log.Rate*now.Sub(s.last).Seconds())
	s.last = now
	if s.tokens < 1 {
		return false
	}
	s.tokens--
	return true
}

func (s *sink) remember(line Line) {
	switch {
	case s.log.Tail < 0:
	case len(s.tail) < s.log.Tail:
		s.tail = append(s.tail, line)
	default:
		s.tail[s.next] = line
		s.next = (s.next + 1) % len(s.tail)
	}
}

// lines returns the tail, the oldest line first.
func (s *sink) lines() []Line {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Concat(s.tail[s.next:], s.tail[:s.next])
}

// left returns how many lines exceeded the rate since the last one that Func got.
func (s *sink) left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped
}

// pump reads a stream to its end, or to an error, which is the read deadline
// after the death of the process.
func (s *sink) pump(stream Stream, r io.Reader) {
	var line []byte
	cut := 0
	buf := make([]byte, 4<<10)
	for {
		n, err := r.Read(buf)
		for rest := buf[:n]; len(rest) > 0; {
			part, after, whole := bytes.Cut(rest, []byte("\n"))
			rest = after
			fits := min(len(part), s.log.MaxLine-len(line))
			line, cut = append(line, part[:fits]...), cut+len(part)-fits
			if whole {
				s.add(stream, line, cut)
				line, cut = line[:0], 0
			}
		}
		if err != nil {
			break
		}
	}
	if len(line)+cut > 0 {
		s.add(stream, line, cut)
	}
}
