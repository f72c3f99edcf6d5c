package main

import (
	"fmt"
	"io"
	"time"
)

// plainEvery is how often a phase that goes on is shown where there is no
// terminal.
const plainEvery = 5 * time.Second

// progress shows what is being done: one line that is rewritten on a terminal,
// and plain lines otherwise.
type progress struct {
	out      io.Writer
	terminal bool
	began    time.Time // of the phase
	shown    time.Time
}

// say begins a phase.
func (p *progress) say(format string, args ...any) {
	p.began = time.Now()
	p.show(fmt.Sprintf(format, args...))
}

// count shows how far the phase is.
func (p *progress) count(phase string, done, of int64) {
	if !p.terminal && time.Since(p.shown) < plainEvery {
		return
	}
	p.show(fmt.Sprintf("%s: %d of %d after %.1f s", phase, done, of, time.Since(p.began).Seconds()))
}

func (p *progress) show(line string) {
	p.shown = time.Now()
	if p.terminal {
		fmt.Fprintf(p.out, "\r\x1b[K%s", line)
		return
	}
	fmt.Fprintln(p.out, line)
}

// clear removes the line from a terminal.
func (p *progress) clear() {
	if p.terminal {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
