package process

import (
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/internal/osproc"
	"github.com/magne-actors/magne-actors/internal/wire"
	"github.com/magne-actors/magne-actors/task"
)

// Bounds for headers in an environment: the kernel takes 128 KiB for one
// variable, and some runtimes copy all of them for each process they start.
const (
	maxHeaderEnv  = 4 << 10
	maxHeadersEnv = 64 << 10
)

// job is one task as its process sees it.
type job struct {
	spec  osproc.Spec
	lines *lineLog
	body  []byte // for stdin
	about []byte // for fd 3
}

// about is the JSON of fd 3.
type about struct {
	Task        string            `json:"task"`
	ID          string            `json:"id,omitempty"`
	Queue       string            `json:"queue"`
	Pool        string            `json:"pool"`
	Attempt     int               `json:"attempt"`
	Redelivered bool              `json:"redelivered,omitempty"`
	DeadlineMS  int64             `json:"deadline_ms,omitempty"`
	Headers     map[string]string `json:"headers"`
}

func (s *Oneshot) newJob(m *task.Message, deadline time.Time) *job {
	a := about{
		Task: m.Name, ID: m.ID, Queue: m.Queue, Pool: s.o.Pool, Attempt: m.Attempt, Redelivered: m.Redelivered, Headers: m.Headers,
	}
	if a.Headers == nil {
		a.Headers = map[string]string{} // a reader may index it
	}
	if !deadline.IsZero() {
		a.DeadlineMS = max(1, time.Until(deadline).Milliseconds())
	}
	text, _ := json.Marshal(a) // of strings and numbers it cannot fail
	j := &job{
		spec: s.o.Spec, about: append(text, '\n'),
		lines: newLineLog(s.log.With("task", m.Name, "task_id", m.ID), s.redact, s.o.Log.Parse),
	}
	if len(m.Args)+len(m.Kwargs) > 0 {
		j.body = wire.AppendArgs(nil, m.Args, m.Kwargs)
	}
	j.spec.Env = append(slices.DeleteFunc(slices.Clone(s.o.Spec.Env), ofTask), a.environment()...)
	j.spec.Log = s.o.Log.limits(j.lines.add)
	return j
}

// environment returns the variables of a task.
func (a *about) environment() []string {
	env := headersEnv(a.Headers)
	add := func(name, value string) {
		if !strings.ContainsRune(value, 0) {
			env = append(env, name+"="+value)
		}
	}
	add("MAGNE_TASK", a.Task)
	add("MAGNE_TASK_ID", a.ID)
	add("MAGNE_ATTEMPT", strconv.Itoa(a.Attempt))
	add("MAGNE_QUEUE", a.Queue)
	add("MAGNE_POOL", a.Pool)
	if a.DeadlineMS > 0 {
		add("MAGNE_DEADLINE_MS", strconv.FormatInt(a.DeadlineMS, 10))
	}
	return env
}

// ofTask says that a variable is one that environment may set: programs differ in
// which of two with the same name they see.
func ofTask(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	switch name {
	case "MAGNE_TASK", "MAGNE_TASK_ID", "MAGNE_ATTEMPT", "MAGNE_QUEUE", "MAGNE_POOL", "MAGNE_DEADLINE_MS":
		return true
	}
	return strings.HasPrefix(name, "MAGNE_HDR_")
}

// headersEnv makes variables of headers, in the order of their names: of two that
// become one variable the first wins.
func headersEnv(headers map[string]string) []string {
	var env []string
	seen, size := map[string]bool{}, 0
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		value, variable := headers[name], "MAGNE_HDR_"+strings.Map(variableChar, name)
		n := len(variable) + len(value) + 2 // = and NUL
		if seen[variable] || n > maxHeaderEnv || size+n > maxHeadersEnv || strings.ContainsRune(value, 0) {
			continue
		}
		seen[variable], size = true, size+n
		env = append(env, variable+"="+value)
	}
	return env
}

func variableChar(r rune) rune {
	switch {
	case 'a' <= r && r <= 'z':
		return r - 'a' + 'A'
	case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return r
	default:
		return '_'
	}
}

// pipes are the three ends that a process may use or not.
type pipes struct {
	p       *osproc.Proc
	written chan struct{} // one for each of stdin and fd 3
	result  chan []byte
}

// feed starts to write what the process may read, and to read its result. A pipe
// takes 64 KiB, so that none of them may wait for another.
func (j *job) feed(p *osproc.Proc) *pipes {
	x := &pipes{p: p, written: make(chan struct{}, 2), result: make(chan []byte, 1)}
	go x.write(p.Stdin, j.body)
	go x.write(p.In, j.about)
	go x.read()
	return x
}

// write ends with the text, or with the process: an error says that it does not
// want to know more.
func (x *pipes) write(w io.WriteCloser, text []byte) {
	defer func() {
		_ = w.Close()
		x.written <- struct{}{}
	}()
	_, _ = w.Write(text)
}

// read reads all that the process writes to fd 4, or it would wait.
func (x *pipes) read() {
	var kept []byte
	defer func() { x.result <- kept }()
	kept, _ = io.ReadAll(io.LimitReader(x.p.Out, MaxResult)) // what came before an error counts
	_, _ = io.Copy(io.Discard, x.p.Out)
}

// close is called when the process is dead, and returns its result. Somebody who
// has outlived the scope may hold an end of a pipe and is not waited for.
func (x *pipes) close() []byte {
	soon := time.Now().Add(100 * time.Millisecond)
	_ = x.p.Out.SetReadDeadline(soon)
	_ = x.p.In.SetWriteDeadline(soon) // closed already, as a rule
	_ = x.p.Stdin.SetWriteDeadline(soon)
	result := <-x.result
	<-x.written
	<-x.written
	_ = x.p.Out.Close()
	return result
}
