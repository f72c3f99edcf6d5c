package osproc

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// ident is a process for ever: a number is used again, with another start.
type ident struct {
	pid   int
	start int64 // ticks since boot
}

// kill kills the process if it is still the same one and alive, waits for its end
// up to the given time, and says whether there was something to kill.
func (id ident) kill(wait time.Duration) bool {
	fd, err := unix.PidfdOpen(id.pid, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	// The pidfd is of whoever has the number now; so is what stat says after.
	if s, err := readStat(id.pid); err != nil || s.starttime != id.start || s.state == 'Z' {
		return false
	}
	sent := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) == nil
	if sent && wait > 0 {
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(wait.Milliseconds()))
	}
	return sent
}

func procFile(pid int, name string) string {
	return "/proc/" + strconv.Itoa(pid) + "/" + name
}

func readStat(pid int) (procStat, error) {
	data, err := os.ReadFile(procFile(pid, "stat"))
	if err != nil {
		return procStat{}, err
	}
	return parseStat(data)
}

// children returns the children of a process, or of ours with "self".
func children(process string) []int {
	files, err := filepath.Glob("/proc/" + process + "/task/*/children")
	if err != nil {
		return nil
	}
	var pids []int
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		for field := range bytes.FieldsSeq(data) {
			if pid, err := strconv.Atoi(string(field)); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// ourChildren returns our children. The kernel skips one of a list that another is
// taken from while it is read, so that nobody may be reaped meanwhile.
func (h *Host) ourChildren() []int {
	h.reaping.Lock()
	defer h.reaping.Unlock()
	return children("self")
}

// reapChild reaps a child of ours, and blocks until it is dead.
func (h *Host) reapChild(pid int, usage *unix.Rusage) (unix.WaitStatus, error) {
	var info unix.Siginfo
	err := error(unix.EINTR)
	for errors.Is(err, unix.EINTR) {
		err = unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT, nil)
	}
	if err != nil {
		return 0, err
	}
	h.reaping.Lock()
	defer h.reaping.Unlock()
	var status unix.WaitStatus
	_, err = unix.Wait4(pid, &status, unix.WNOHANG, usage)
	return status, err
}

// descendants returns all processes below one.
func descendants(pid int) []ident {
	var all []ident
	for queue := children(strconv.Itoa(pid)); len(queue) > 0; queue = queue[1:] {
		if s, err := readStat(queue[0]); err == nil {
			all = append(all, ident{queue[0], s.starttime})
			queue = append(queue, children(strconv.Itoa(queue[0]))...)
		}
	}
	return all
}

// marked says whether the environment that a process was started with has a
// variable that starts with the text, a name and (the start of) its value.
func marked(pid int, text string) bool {
	env, err := os.ReadFile(procFile(pid, "environ"))
	return err == nil && (bytes.HasPrefix(env, []byte(text)) || bytes.Contains(env, []byte("\x00"+text)))
}

// orphans returns those of our children that nobody registered and that ours
// accepts, with all their descendants. It reaps the dead ones, which are among
// them: their children have become ours, maybe after we had looked.
func (h *Host) orphans(ours func(ident, procStat) bool) []ident {
	var found []ident
	for _, pid := range h.ourChildren() {
		if h.registered(pid) { // nearly all
			continue
		}
		s, err := readStat(pid)
		id := ident{pid, s.starttime}
		if err != nil || !ours(id, s) {
			continue
		}
		found = append(found, id)
		if s.state == 'Z' {
			_, _ = h.reapChild(pid, nil) // what else could be done
			continue
		}
		found = append(found, descendants(pid)...)
	}
	return found
}

// sweep kills what find returns until that is nothing, and says how many it has
// killed. A process that the kernel does not let die ends the search.
func (h *Host) sweep(find func() []ident) int {
	h.sweeping.Lock()
	defer h.sweeping.Unlock()
	rounds, killed := map[ident]int{}, map[ident]bool{}
	for {
		victims := find()
		if len(victims) == 0 {
			return len(killed)
		}
		for _, id := range victims {
			if rounds[id]++; rounds[id] > 20 {
				h.log.Error("a process does not die", "pid", id.pid)
				return len(killed)
			}
			if id.kill(100 * time.Millisecond) {
				killed[id] = true
			}
		}
	}
}

// sweep kills what the death of the process and of its group has left.
func (p *Proc) sweep() int {
	if p.scope == ScopeProcess {
		return 0
	}
	return p.host.sweep(func() []ident {
		found := p.host.orphans(func(id ident, s procStat) bool {
			return p.known[id] || s.pgrp == p.pid || p.family(s) || s.state != 'Z' && marked(id.pid, markName+"="+p.mark+"\x00")
		})
		found = append(found, p.cgroup.members()...)
		for id := range p.known { // those that are not orphans yet
			if s, err := readStat(id.pid); err == nil && s.starttime == id.start && s.state != 'Z' {
				found = append(found, id)
			}
		}
		p.know(found)
		return found
	})
}

// family says whether a process is in the group or session of a descendant: its
// child, then, which was born after we had looked. It may have no environment to
// show, because it is dead or in the middle of an exec.
func (p *Proc) family(s procStat) bool {
	for id := range p.known {
		if id.pid == s.pgrp || id.pid == s.session {
			return true
		}
	}
	return false
}
