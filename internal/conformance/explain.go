package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/internal/osproc"
	"github.com/magne-actors/magne-actors/internal/wire"
)

// explain adds to an error what the author of the worker should look at.
func (s *script) explain(err error) string {
	text := strings.TrimPrefix(err.Error(), "osproc: ")
	if v, ok := errors.AsType[*wire.ProtocolError](err); ok {
		text = strings.TrimPrefix(text, "wire: protocol violation: ")
		if len(v.Head) > 0 && v.Head[0] != '{' {
			text += "; fd 4 is for frames only, what a task prints belongs to stdout"
		}
	}
	if s.worker == nil {
		return text
	}
	select {
	case <-s.worker.p.Done():
	case <-time.After(grace(err)):
		return text
	}
	return text + "; " + death(s.worker.p.Exit())
}

// grace is how long to wait for the exit of a worker that may be about to: one
// that has closed its pipe is.
func grace(err error) time.Duration {
	if errors.Is(err, errEnd) {
		return time.Second
	}
	return 0
}

// explainStart says why there was no hello.
func (w *worker) explainStart(err error) error {
	select {
	case <-w.p.Done():
		return fmt.Errorf("no hello: %s", death(w.p.Exit()))
	case <-time.After(grace(err)):
	}
	w.end() // now what it has printed can be looked at
	if line := frameLike(w.printed); line != "" {
		return fmt.Errorf("no hello on fd 4, but %.80q on stdout: write frames to the descriptor in MAGNE_FD_OUT", line)
	}
	if text := lastWords(w.p.Exit()); text != "" {
		return fmt.Errorf("no valid hello: %w; stderr: %s", err, text)
	}
	return fmt.Errorf("no valid hello: %w", err)
}

// death says how a process has ended.
func death(e osproc.Exit) string {
	text := e.String()
	if words := lastWords(e); words != "" {
		text += "; stderr: " + words
	}
	return text
}

// lastWords is the last line of stderr that is not blank.
func lastWords(e osproc.Exit) string {
	for _, line := range slices.Backward(e.Tail) {
		if text := strings.TrimSpace(line.Text); line.Stream == osproc.Stderr && text != "" {
			return fmt.Sprintf("%.200q", text)
		}
	}
	return ""
}

// frameLike returns the first line that looks like a frame of a worker.
func frameLike(lines []string) string {
	for _, line := range lines {
		var head struct{ T wire.Type }
		if json.Unmarshal([]byte(line), &head) != nil {
			continue
		}
		switch head.T {
		case wire.Hello, wire.Step, wire.OK, wire.Error, wire.Retry, wire.Pong:
			return line
		default:
		}
	}
	return ""
}
