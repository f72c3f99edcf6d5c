package osproc

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// markName is the environment variable that every process of a scope inherits.
const markName = "MAGNE_SCOPE"

// spawn runs on the spawner's thread.
func (h *Host) spawn(s *Spec) (*Proc, error) {
	path, err := s.program()
	if err != nil {
		return nil, err
	}
	cred, err := credential(s.User, s.Group)
	if err != nil {
		return nil, err
	}
	pl, err := newPlumbing(s, h.null, cred)
	if err != nil {
		return nil, err
	}
	p, err := h.fork(s, path, cred, pl)
	pl.closeTheirs()
	if err != nil {
		pl.closeOurs()
		return nil, err
	}
	err = tune(p.pid, s, cred) // before run, which may reap it
	if err != nil {
		p.Kill()
	}
	p.run()
	if err != nil {
		<-p.Done()
		pl.closeOurs()
		return nil, err
	}
	return p, nil
}

// fork starts the program and registers it.
func (h *Host) fork(s *Spec, path string, cred *syscall.Credential, pl *plumbing) (*Proc, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, ErrClosed
	}
	if h.guard == nil && !h.opts.NoGuard {
		h.guard = startGuard(h)
	}
	h.count++
	p := newProc(h, s, pl, fmt.Sprintf("%s.%d", h.id, h.count))
	if p.scope == ScopeCgroup && h.opts.Cgroup == "" {
		return nil, errors.New("the scope is cgroup, and there is no cgroup")
	}
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: cred, PidFD: &p.pidfdNumber}
	if p.scope == ScopeCgroup {
		var err error
		if p.cgroup, err = newCgroup(h, filepath.Join(h.opts.Cgroup, "magne-"+p.mark), s.Limits); err != nil {
			return nil, err
		}
		defer p.cgroup.closeDir()
		attr.UseCgroupFD, attr.CgroupFD = true, p.cgroup.fd()
	}
	// Whatever a library or the program that started us has left open.
	if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return nil, fmt.Errorf("close_range: %w", err)
	}
	pid, err := syscall.ForkExec(path, s.Command, &syscall.ProcAttr{
		Dir: s.Dir, Env: append(slices.Clone(s.Env), markName+"="+p.mark), Files: pl.files, Sys: attr,
	})
	if err != nil {
		p.cgroup.remove()
		return nil, explain(err, path, s.Dir)
	}
	if err := p.attach(pid); err != nil {
		_ = unix.Kill(pid, unix.SIGKILL)
		_, _ = h.reapChild(pid, nil)
		p.cgroup.remove()
		return nil, err
	}
	h.procs[pid] = p
	h.guard.tell("+", pid)
	return p, nil
}

// explain tells a missing directory from a missing program, and a directory or a file
// that is no program from one that must not be run: the kernel has one error for each
// two.
func explain(err error, path, dir string) error {
	if errors.Is(err, os.ErrNotExist) && dir != "" {
		if _, dirErr := os.Stat(dir); dirErr != nil {
			return fmt.Errorf("working directory: %w", dirErr)
		}
	}
	if !errors.Is(err, os.ErrPermission) {
		return err
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	switch info, statErr := os.Stat(path); {
	case statErr == nil && info.IsDir():
		return fmt.Errorf("it is a directory: %w", err)
	case statErr == nil && info.Mode()&0o111 == 0:
		return fmt.Errorf("it is not executable: %w", err)
	case dir != "":
		return fmt.Errorf("%w: its user must be able to execute it and to enter %s", err, dir)
	}
	return err
}

// newProc returns a Proc that has no process yet.
func newProc(h *Host, s *Spec, pl *plumbing, mark string) *Proc {
	p := &Proc{
		In: pl.in, Out: pl.out, Stdin: pl.stdin,
		host: h, mark: mark, scope: s.Scope, pidfdNumber: -1, logs: pl.logs, sink: newSink(s.Log, time.Now),
		done: make(chan struct{}), hostOOMs: hostOOMs(),
	}
	if p.scope == ScopeAuto {
		p.scope = ScopeGroup
		if h.opts.Cgroup != "" {
			p.scope = ScopeCgroup
		}
	}
	return p
}

// attach takes hold of the process with the number.
func (p *Proc) attach(pid int) error {
	p.pid, p.started = pid, time.Now()
	if p.pidfdNumber < 0 {
		return fmt.Errorf("no pidfd: %w", ErrNotSupported)
	}
	// Only so does os.NewFile put it into the poller. The description is ours
	// alone.
	if err := unix.SetNonblock(p.pidfdNumber, true); err != nil {
		return err
	}
	p.pidfd = os.NewFile(uintptr(p.pidfdNumber), "pidfd")
	var err error
	p.stat, err = os.Open(procFile(pid, "stat"))
	return err
}

// plumbing is the descriptors of a process, and our ends of them.
type plumbing struct {
	files  []uintptr // of the process, by number
	theirs []int     // to be closed after the fork
	cred   *syscall.Credential

	in, out, stdin *os.File
	logs           [2]*os.File // stdout, nil if it is the transport; stderr
}

func newPlumbing(s *Spec, null *os.File, cred *syscall.Credential) (*plumbing, error) {
	pl := &plumbing{cred: cred, files: make([]uintptr, 3)}
	pl.files[0] = null.Fd()
	err := pl.connect(s)
	if err != nil {
		pl.closeTheirs()
		pl.closeOurs()
		return nil, err
	}
	return pl, nil
}

func (pl *plumbing) connect(s *Spec) (err error) {
	if s.Transport == Frames {
		pl.files = append(pl.files, 0, 0)
	}
	plan := []struct {
		ours   **os.File
		fd     int
		writes bool // the process writes to it
		wanted bool
	}{
		{&pl.in, 3, false, s.Transport == Frames},
		{&pl.out, 4, true, s.Transport == Frames},
		{&pl.in, 0, false, s.Transport == Stdio},
		{&pl.out, 1, true, s.Transport == Stdio},
		{&pl.stdin, 0, false, s.Stdin},
		{&pl.logs[Stdout], 1, true, s.Transport != Stdio},
		{&pl.logs[Stderr], 2, true, true},
	}
	for _, c := range plan {
		if c.wanted && err == nil {
			*c.ours, err = pl.pipe(c.fd, c.writes)
		}
	}
	return err
}

// pipe makes a pipe for a descriptor of the process and returns our end, which
// is in the poller, so that deadlines work and no thread waits.
func (pl *plumbing) pipe(fd int, writes bool) (*os.File, error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("pipe: %w", err)
	}
	ours, theirs := ends[1], ends[0]
	if writes {
		ours, theirs = theirs, ours
	}
	pl.theirs = append(pl.theirs, theirs)
	pl.files[fd] = uintptr(theirs)
	if err := unix.SetNonblock(ours, true); err != nil {
		_ = unix.Close(ours)
		return nil, err
	}
	if pl.cred != nil { // or it could not open /dev/stdout
		if err := unix.Fchown(theirs, int(pl.cred.Uid), int(pl.cred.Gid)); err != nil {
			_ = unix.Close(ours)
			return nil, err
		}
	}
	return os.NewFile(uintptr(ours), "|"+strconv.Itoa(fd)), nil
}

func (pl *plumbing) closeTheirs() {
	for _, fd := range pl.theirs {
		_ = unix.Close(fd)
	}
}

// closeOurs is for a start that failed: nobody else knows of them.
func (pl *plumbing) closeOurs() {
	for _, f := range []*os.File{pl.in, pl.out, pl.stdin, pl.logs[0], pl.logs[1]} {
		if f != nil {
			f.Close()
		}
	}
}

// credential resolves names; nil is ours.
func credential(name, group string) (*syscall.Credential, error) {
	if name == "" && group == "" {
		return nil, nil
	}
	c := &syscall.Credential{Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid())}
	if name != "" {
		u, err := user.Lookup(name)
		if err != nil {
			byID, idErr := user.LookupId(name)
			if idErr != nil { // which says of a name that it is no number
				return nil, fmt.Errorf("user %q: %w", name, err)
			}
			u = byID
		}
		ids, err := u.GroupIds()
		if err != nil {
			return nil, fmt.Errorf("groups of user %q: %w", name, err)
		}
		c.Uid, c.Gid = parseID(u.Uid), parseID(u.Gid)
		for _, id := range ids {
			c.Groups = append(c.Groups, parseID(id))
		}
	}
	if group != "" {
		g, err := user.LookupGroup(group)
		if err != nil {
			byID, idErr := user.LookupGroupId(group)
			if idErr != nil {
				return nil, fmt.Errorf("group %q: %w", group, err)
			}
			g = byID
		}
		c.Gid = parseID(g.Gid)
	}
	return c, nil
}

// parseID reads a number that the user database has given us.
func parseID(s string) uint32 {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 65534 // nobody; such an entry is not possible on Linux
	}
	return uint32(n)
}
