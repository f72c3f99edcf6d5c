package osproc

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// tune sets what SysProcAttr has no field for, from outside: the program has just
// been started. One that is dead already needs no tuning.
func tune(pid int, s *Spec, cred *syscall.Credential) error {
	for _, err := range []error{setRlimits(pid, s, cred), setNice(pid, s), setOOMScore(pid, s)} {
		if err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func setRlimits(pid int, s *Spec, cred *syscall.Credential) error {
	limits := map[string]uint64{"core": 0}
	maps.Copy(limits, s.Rlimits)
	for name, value := range limits {
		number, _ := rlimitNumber(name)
		set := func() error {
			return unix.Prlimit(pid, number, &unix.Rlimit{Cur: value, Max: value}, nil)
		}
		err := set()
		if cred != nil && errors.Is(err, unix.EPERM) {
			err = asUser(cred, set)
		}
		if err != nil {
			return fmt.Errorf("rlimit %s %d: %w", name, value, err)
		}
	}
	return nil
}

// asUser calls f with the real IDs of a user: prlimit compares them, unless we
// have CAP_SYS_RESOURCE, which containers do not give to root. IDs are a
// thread's own in Linux, and the spawner's thread runs nothing else; the
// effective ones, and so the right to change back, stay.
func asUser(cred *syscall.Credential, f func() error) error {
	uid, gid := os.Getuid(), os.Getgid()
	defer func() {
		_, _, _ = unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), keepID, keepID)
		_, _, _ = unix.RawSyscall(unix.SYS_SETRESGID, uintptr(gid), keepID, keepID)
	}()
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(cred.Gid), keepID, keepID); errno != 0 {
		return errno
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(cred.Uid), keepID, keepID); errno != 0 {
		return errno
	}
	return f()
}

// keepID is -1, for an ID that is not to change.
const keepID = ^uintptr(0)

func setNice(pid int, s *Spec) error {
	if s.Nice == 0 {
		return nil
	}
	ours, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err == nil {
		// The system call returns 20 minus the nice value.
		err = unix.Setpriority(unix.PRIO_PGRP, pid, min(19, max(-20, 20-ours+s.Nice)))
	}
	if err != nil {
		return fmt.Errorf("nice %d: %w", s.Nice, err)
	}
	return nil
}

func setOOMScore(pid int, s *Spec) error {
	if s.OOMScoreAdj == 0 {
		return nil
	}
	if err := os.WriteFile(procFile(pid, "oom_score_adj"), []byte(strconv.Itoa(s.OOMScoreAdj)), 0); err != nil {
		return fmt.Errorf("oom_score_adj %d: %w", s.OOMScoreAdj, err)
	}
	return nil
}

// rlimitNumber finds a resource limit by its name.
func rlimitNumber(name string) (int, bool) {
	n, ok := map[string]int{
		"as": unix.RLIMIT_AS, "core": unix.RLIMIT_CORE, "cpu": unix.RLIMIT_CPU, "data": unix.RLIMIT_DATA,
		"fsize": unix.RLIMIT_FSIZE, "locks": unix.RLIMIT_LOCKS, "memlock": unix.RLIMIT_MEMLOCK,
		"msgqueue": unix.RLIMIT_MSGQUEUE, "nice": unix.RLIMIT_NICE, "nofile": unix.RLIMIT_NOFILE,
		"nproc": unix.RLIMIT_NPROC, "rss": unix.RLIMIT_RSS, "rtprio": unix.RLIMIT_RTPRIO,
		"rttime": unix.RLIMIT_RTTIME, "sigpending": unix.RLIMIT_SIGPENDING, "stack": unix.RLIMIT_STACK,
	}[name]
	return n, ok
}

func signalName(s syscall.Signal) string {
	if name := unix.SignalName(s); name != "" {
		return name
	}
	return "signal " + strconv.Itoa(int(s))
}
