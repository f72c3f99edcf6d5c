package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/magne-actors/magne-actors/internal/osproc"
)

// checkModes refuses the keys that are not for the mode of the pool.
func (f *File) checkModes(p *Pool) {
	at := poolPath(p.Name)
	if !f.read.usable(at + ".mode") {
		return
	}
	f.checkMode(f.read.root.child("pools").each, at, p.Mode)
}

// checkMode looks below n, whose modes are those of the keys in it that name none.
func (f *File) checkMode(n *node, at, mode string) {
	for _, c := range n.nodes {
		here := at + "." + c.name
		limits := &c.key
		if c.modes == nil {
			limits = &n.key
		}
		switch {
		case c.absent != "":
		case !limits.isFor(mode) && f.read.given(here) && !f.read.bad[here] && !f.emptyTasks(c, here):
			hint := ""
			if limits.hint != "" {
				hint = "; " + limits.hint
			}
			f.read.complain(here, "it is for %s, and the pool has mode %s: remove it or change the mode%s", limits.modeNames(), mode, hint)
		case c.kind == section && limits == &c.key:
			f.checkMode(c, here, mode)
		case c.kind == section:
			inherits := *c
			inherits.modes, inherits.hint = n.modes, n.hint
			f.checkMode(&inherits, here, mode)
		}
	}
}

// emptyTasks: a tasks: with nothing below it says nothing that could be wrong.
func (f *File) emptyTasks(n *node, at string) bool {
	return n.name == "tasks" && len(f.read.chosen[at]) == 0
}

// checkProcesses looks at a pool whose tasks run in OS processes.
func (f *File) checkProcesses(p *Pool) {
	at, r := poolPath(p.Name), f.read
	if !r.usable(at+".mode") || !p.HasProcesses() {
		return
	}
	if p.Process == nil {
		if !r.bad[at+".process"] {
			r.complain(at+".process", "missing: mode %s needs to know what to run, for example process: {command: [python3, -u, worker.py]}", p.Mode)
		}
		return
	}
	f.checkCommand(p.Process, at+".process")
	f.checkEnv(p.Process, at+".process")
	f.checkSize(p, at)
	f.checkTimes(p, at)
}

func (f *File) checkCommand(o *Process, at string) {
	r := f.read
	switch {
	case !r.usable(at + ".command"):
	case !r.given(at + ".command"):
		r.complain(at+".command", "missing: the program and its arguments, for example [python3, -u, worker.py]")
	case len(o.Command) == 0 || o.Command[0] == "":
		r.complain(at+".command", "empty: name the program and its arguments, for example [python3, -u, worker.py]")
	case slices.ContainsFunc(o.Command, func(arg string) bool { return strings.ContainsRune(arg, 0) }):
		r.complain(at+".command", "a NUL byte in it: no argument can contain one")
	}
	if o.Group != "" && o.User == "" && r.usable(at+".user", at+".group") {
		r.complain(at+".group", "without user: name the user as well")
	}
}

// checkEnv puts the environment together once, so that every mistake is found
// before the start.
func (f *File) checkEnv(o *Process, at string) {
	r := f.read
	for _, name := range o.EnvInherit {
		if r.usable(at+".env_inherit") && (name == "" || strings.ContainsAny(name, "=\x00")) {
			r.complain(at+".env_inherit", "%q is no name of a variable", name)
		}
	}
	for _, name := range sortedNames(o.Env) {
		f.checkVariable(name, o.Env[name], at+".env"+component(name))
	}
	for _, name := range sortedNames(o.Secrets) {
		here := at + ".secrets" + component(name)
		if _, twice := o.Env[name]; twice {
			r.complain(here, "it is in env as well: remove one")
		}
		if s := o.Secrets[name]; r.usable(here) && !r.badBelow(here) {
			s.Value = f.secretValue(s, here)
			o.Secrets[name] = s
			f.checkVariable(name, s.Value.Reveal(), here)
		}
	}
}

// checkVariable never quotes the value.
func (f *File) checkVariable(name, value, at string) {
	r := f.read
	switch {
	case !r.usable(at):
	case strings.HasPrefix(name, "MAGNE_"):
		r.complain(at, "names that begin with MAGNE_ are for what magne-actors tells the process: choose another")
	case strings.ContainsRune(value, 0):
		r.complain(at, "a NUL byte in the value: no variable can contain one")
	case len(name)+len(value)+2 > 128<<10:
		r.complain(at, "longer than the 128 KiB that the kernel takes")
	}
}

// secretValue reads the secret that stands at a path. That it cannot is a matter of
// running the pool only: who publishes a task may not see it.
func (f *File) secretValue(s ProcessSecret, at string) Secret {
	r := f.read
	switch {
	case s.File != "" && s.Env != "":
		r.complain(at, "both file and env: remove one")
	case s.File != "":
		value, err := readSecret(s.File)
		if err != nil {
			r.lack(at+".file", "%v", err)
		}
		r.warnOpen(s.File, at+".file")
		return Secret(value)
	case s.Env != "":
		value := r.env[s.Env]
		if value == "" {
			r.lack(at+".env", "the environment variable %s is not set", s.Env)
		}
		return Secret(value)
	default:
		r.complain(at, "no value: write {file: /run/secrets/name} or {env: NAME}")
	}
	return ""
}

func (f *File) checkSize(p *Pool, at string) {
	s, r := p.Size, f.read
	if s == nil || r.bad[at+".size"] {
		return
	}
	if r.given(at + ".workers") {
		r.complain(r.later(at+".workers", at+".size"), "both workers and size: remove one")
	}
	low, high := at+".size.min", at+".size.max"
	switch {
	case !r.usable(low, high):
	case !r.given(high):
		r.complain(high, "missing: how many processes there may be at most")
	case s.Min > s.Max:
		r.complain(r.later(low, high), "min (%d) is above max (%d): raise max or lower min", s.Min, s.Max)
	case r.usable(at+".size.mode") && s.Mode == "static" && s.Min != s.Max:
		r.complain(low, "%d with mode static, which always has max (%d) processes: remove min, or use mode dynamic", s.Min, s.Max)
	}
}

// checkTimes compares what must be in order.
func (f *File) checkTimes(p *Pool, at string) {
	r, t := f.read, p.Timeout
	if soft := at + ".timeout.soft"; r.set(soft) && r.usable(at+".timeout", at+".timeout.hard") && t.Hard > 0 && t.Soft >= t.Hard {
		r.complain(soft, "soft (%v) is not below hard (%v): the process would be stopped before it can cancel the task; lower soft or raise hard", short(t.Soft), short(t.Hard))
	}
	if r.usable(at+".pipeline", at+".concurrency") && p.Pipeline < p.Concurrency {
		r.complain(at+".pipeline", "%d is below concurrency (%d): a process cannot run more tasks than it holds; remove pipeline or raise it", p.Pipeline, p.Concurrency)
	}
	rss, hard := at+".recycle.max_rss", at+".recycle.max_rss_hard"
	if c := p.Recycle; r.usable(rss, hard) && c.MaxRSSHard > 0 && c.MaxRSS >= c.MaxRSSHard {
		r.complain(r.later(rss, hard), "max_rss (%d bytes) is not below max_rss_hard (%d bytes): the process would be killed in a task before it is replaced", c.MaxRSS, c.MaxRSSHard)
	}
}

// environment is that of the process, KEY=value.
func (o *Process) environment(ours environment) ([]string, error) {
	set := map[string]string{}
	for _, name := range o.EnvInherit {
		if value, found := ours[name]; found {
			set[name] = value
		}
	}
	maps.Copy(set, o.Env)
	for name, s := range o.Secrets {
		set[name] = s.Value.Reveal()
	}
	// What is inherited is what Parse was given, which need not be what this
	// program has.
	list, err := osproc.Env{Set: set}.Build()
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return list, nil
}
