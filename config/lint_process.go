package config

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/magne-actors/magne-actors/internal/osproc"
)

// machine is what the warnings need to know about where the program runs.
type machine struct {
	linux  bool // elsewhere there are no processes
	root   bool
	cgroup func() error                    // why there is no delegated cgroup
	find   func(program, dir string) error // why a program cannot be started in a directory
}

func thisMachine() machine {
	return machine{
		linux:  runtime.GOOS == "linux",
		root:   os.Geteuid() == 0,
		cgroup: func() error { _, err := osproc.DelegatedCgroup(); return err },
		find:   find,
	}
}

// find looks where the start of the process will look.
func find(program, dir string) error {
	if dir != "" {
		info, err := os.Stat(dir)
		switch {
		case err != nil:
			return cause(err)
		case !info.IsDir():
			return errors.New("not a directory")
		}
	}
	if strings.Contains(program, "/") && !filepath.IsAbs(program) {
		if program = filepath.Join(dir, program); !filepath.IsAbs(program) {
			program = "./" + program // or LookPath would look in PATH
		}
	}
	_, err := exec.LookPath(program)
	return cause(err)
}

// cause is an error without the name of what it is about.
func cause(err error) error {
	if e, ok := errors.AsType[*exec.Error](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return err
}

// lintProcess looks at what depends on the machine. It may be another one than the
// one that will run the file, so nothing here is an error.
func (f *File) lintProcess(p *Pool, m machine) {
	o, at, r := p.Process, poolPath(p.Name)+".process", f.read
	if o == nil {
		return
	}
	if !m.linux {
		r.warn(poolPath(p.Name)+".mode", "mode %s works on Linux only; on this machine `run` would refuse the file", p.Mode)
		return
	}
	if err := m.find(o.Command[0], o.CWD); err != nil {
		where := ""
		if o.CWD != "" {
			where = " in " + o.CWD
		}
		name := "the program"
		if !r.hidden[at+".command"] {
			name = o.Command[0]
		}
		r.warn(at+".command", "%s cannot be started%s: %v; on this machine the pool would give up after a few attempts", name, where, err)
	}
	if (o.User != "" || o.Group != "") && !m.root {
		r.warn(at+".user", "only root can start a process as another user, and this user is not root: run magne-actors as root, or remove it")
	}
	limited := o.Cgroup != Cgroup{} || o.KillScope == "cgroup"
	if limited {
		if err := m.cgroup(); err != nil {
			f.warnCgroup(o, at, err)
		}
	}
	f.lintMemory(p)
}

// leastMemory is less than any program needs that speaks the protocol, in bytes:
// even a shell has 3 MiB.
const leastMemory = 2 << 20

func (f *File) lintMemory(p *Pool) {
	o, at, r := p.Process, poolPath(p.Name)+".process", f.read
	if most := o.Cgroup.MemoryMax; most > 0 && most < leastMemory {
		r.warn(at+".cgroup.memory_max", "%d bytes are less than any process needs, so that none would start: write a unit, for example 512MiB", most)
	}
	for _, memory := range []struct {
		key   string
		bytes int
	}{{"max_rss", p.Recycle.MaxRSS}, {"max_rss_hard", p.Recycle.MaxRSSHard}} {
		if memory.bytes > 0 && memory.bytes < leastMemory {
			r.warn(poolPath(p.Name)+".recycle."+memory.key, "%d bytes are less than any process needs, so that each would be ended at once: write a unit, for example 300MiB", memory.bytes)
		}
		if most := o.Cgroup.MemoryMax; most > 0 && memory.bytes >= most {
			r.warn(poolPath(p.Name)+".recycle."+memory.key, "%d bytes are not below process.cgroup.memory_max (%d): the kernel kills the process before it is replaced; "+
				"lower it or raise memory_max", memory.bytes, most)
		}
	}
}

func (f *File) warnCgroup(o *Process, at string, err error) {
	why := strings.TrimPrefix(err.Error(), "osproc: ")
	if o.KillScope == "cgroup" {
		f.read.warn(at+".kill_scope", "there is no delegated cgroup v2 (%s), so no process could be started: use auto, or Delegate=yes in the unit of systemd", why)
		return
	}
	f.read.warn(at+".cgroup", "there is no delegated cgroup v2 (%s), so the limits would be left out: write Delegate=yes in the unit of systemd, or use rlimits", why)
}
