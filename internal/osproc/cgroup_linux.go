package osproc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// cgroup is the cgroup of one process. A nil one has no members.
type cgroup struct {
	host *Host
	path string
	dir  *os.File
}

// checkCgroup says early what every Start would say.
func checkCgroup(dir string) error {
	if dir == "" {
		return nil
	}
	probe, err := os.MkdirTemp(dir, "magne-probe-")
	if err != nil {
		return fmt.Errorf("osproc: cgroup: %w", err)
	}
	_, err = os.Stat(filepath.Join(probe, "cgroup.kill"))
	if err := errors.Join(err, unix.Rmdir(probe)); err != nil {
		return fmt.Errorf("osproc: cgroup %s: %w", dir, err)
	}
	return nil
}

// DelegatedCgroup returns the directory of our own cgroup for Options.Cgroup, if
// whoever started us has delegated it: it is of cgroup v2, belongs to us and not
// to root, or systemd has marked it (Delegate=yes).
func DelegatedCgroup() (string, error) {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", fmt.Errorf("osproc: %w", err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("osproc: %w", err)
	}
	dir, err := cgroupDir(string(own), string(mounts))
	if err != nil {
		return "", err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return "", fmt.Errorf("osproc: %w", err)
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	flag := make([]byte, 8)
	n, err := unix.Getxattr(dir, "trusted.delegate", flag)
	if marked := err == nil && string(flag[:n]) == "1"; !marked && (owner == 0 || int(owner) != os.Geteuid()) {
		return "", fmt.Errorf("osproc: cgroup %s is not delegated to us", dir)
	}
	return dir, nil
}

// cgroupDir finds our cgroup in /proc/self/cgroup and where the hierarchy is
// mounted in /proc/self/mountinfo.
func cgroupDir(own, mounts string) (string, error) {
	path, found := "", false
	for line := range strings.Lines(own) {
		if rest, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); ok {
			path, found = rest, true
		}
	}
	for line := range strings.Lines(mounts) {
		fields := strings.Fields(line)
		if found0 := strings.Contains(line, " - cgroup2 "); !found0 || len(fields) < 5 || !found {
			continue
		}
		rel, err := filepath.Rel(fields[3], path) // the mount may show a part only
		if err == nil && !strings.HasPrefix(rel, "..") {
			return filepath.Join(fields[4], rel), nil
		}
	}
	return "", errors.New("osproc: no cgroup v2 hierarchy is mounted")
}

// newCgroup makes a cgroup with limits.
func newCgroup(h *Host, path string, l CgroupLimits) (*cgroup, error) {
	c := &cgroup{host: h, path: path}
	if err := os.Mkdir(path, 0o755); err != nil {
		return nil, fmt.Errorf("cgroup: %w", err)
	}
	var err error
	if c.dir, err = os.Open(path); err != nil {
		c.remove()
		return nil, fmt.Errorf("cgroup: %w", err)
	}
	if err := c.limit(l); err != nil {
		c.closeDir()
		c.remove()
		return nil, err
	}
	return c, nil
}

func (c *cgroup) limit(l CgroupLimits) error {
	const period = 100_000 // microseconds
	for _, f := range []struct {
		wanted      bool
		name, value string
	}{
		{l.Memory > 0, "memory.max", strconv.FormatInt(l.Memory, 10)},
		{l.Memory > 0, "memory.oom.group", "1"},
		{l.PIDs > 0, "pids.max", strconv.FormatInt(l.PIDs, 10)},
		{l.CPU > 0, "cpu.max", fmt.Sprintf("%d %d", int(l.CPU*period), period)},
	} {
		if !f.wanted {
			continue
		}
		// Without O_CREATE: a file that is not there is a controller that is not.
		file, err := os.OpenFile(filepath.Join(c.path, f.name), os.O_WRONLY, 0)
		if errors.Is(err, os.ErrNotExist) {
			c.host.log.Warn("a limit is not in force, because the cgroup has no controller for it", "limit", f.name, "cgroup", c.path)
			continue
		}
		if err == nil {
			_, err = file.WriteString(f.value)
			file.Close()
		}
		if err != nil {
			return fmt.Errorf("cgroup: %s=%s: %w", f.name, f.value, err)
		}
	}
	return nil
}

// fd and closeDir are for the fork alone.
func (c *cgroup) fd() int { return int(c.dir.Fd()) }

func (c *cgroup) closeDir() { c.dir.Close() }

// signal sends a signal to all members.
func (c *cgroup) signal(sig syscall.Signal) {
	if sig == syscall.SIGKILL {
		if err := os.WriteFile(filepath.Join(c.path, "cgroup.kill"), []byte("1"), 0); err != nil {
			c.host.log.Error("cannot kill a cgroup", "cgroup", c.path, "err", err)
		}
		return
	}
	for _, id := range c.members() {
		if fd, err := unix.PidfdOpen(id.pid, 0); err == nil {
			if s, err := readStat(id.pid); err == nil && s.starttime == id.start {
				_ = unix.PidfdSendSignal(fd, sig, nil, 0)
			}
			_ = unix.Close(fd)
		}
	}
}

// members are the processes in the cgroup, no zombies.
func (c *cgroup) members() []ident {
	if c == nil {
		return nil
	}
	data, err := os.ReadFile(filepath.Join(c.path, "cgroup.procs"))
	if err != nil {
		return nil
	}
	var ids []ident
	for field := range bytes.FieldsSeq(data) {
		pid, err := strconv.Atoi(string(field))
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil && s.state != 'Z' {
			ids = append(ids, ident{pid, s.starttime})
		}
	}
	return ids
}

// oomKills is how many members the kernel has killed for memory.
func (c *cgroup) oomKills() uint64 {
	if c == nil {
		return 0
	}
	return counter(filepath.Join(c.path, "memory.events"), "oom_kill")
}

// remove removes an empty cgroup.
func (c *cgroup) remove() {
	if c == nil {
		return
	}
	if err := unix.Rmdir(c.path); err != nil {
		c.host.log.Warn("cannot remove a cgroup", "cgroup", c.path, "err", err)
	}
}

// hostOOMs is how many processes the kernel has killed for memory since boot.
func hostOOMs() uint64 { return counter("/proc/vmstat", "oom_kill") }

// counter reads a line "name value" of a file; 0 if there is none.
func counter(file, name string) uint64 {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(rest), 10, 64)
			if err != nil {
				return 0
			}
			return n
		}
	}
	return 0
}
