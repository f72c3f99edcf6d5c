package child

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"github.com/magne-actors/magne-actors/internal/wire"
)

// pipes returns the two ends of the pipes to the supervisor, which no process that
// this one starts inherits.
func pipes(getenv func(string) string) (in, out *os.File, err error) {
	if getenv(wire.EnvProto) == "" || getenv(wire.EnvCookie) == "" {
		return nil, nil, ErrByHand
	}
	if v := getenv(wire.EnvProto); v != strconv.Itoa(wire.Proto) {
		return nil, nil, fmt.Errorf("the supervisor speaks version %s of the protocol, not %d: build the worker with its release", v, wire.Proto)
	}
	fdIn, err := number(getenv, wire.EnvFdIn, wire.FdIn)
	if err != nil {
		return nil, nil, err
	}
	fdOut, err := number(getenv, wire.EnvFdOut, wire.FdOut)
	if err != nil {
		return nil, nil, err
	}
	if fdIn <= 2 || fdOut <= 2 {
		if fdIn, fdOut, err = moveAway(fdIn, fdOut); err != nil {
			return nil, nil, err
		}
	}
	for _, fd := range []int{fdIn, fdOut} {
		if err := claim(fd); err != nil {
			return nil, nil, fmt.Errorf("the pipe at fd %d: %w", fd, err)
		}
	}
	return os.NewFile(uintptr(fdIn), "|supervisor"), os.NewFile(uintptr(fdOut), "supervisor|"), nil
}

// claim makes a pipe ours alone. What else may be at its number is something of
// the Go runtime, for example.
func claim(fd int) error {
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return err
	}
	if kind := st.Mode & syscall.S_IFMT; kind != syscall.S_IFIFO && kind != syscall.S_IFSOCK {
		return errors.New("is no pipe")
	}
	syscall.CloseOnExec(fd)
	return syscall.SetNonblock(fd, true) // for the poller: no thread waits for frames
}

func number(getenv func(string) string, name string, absent int) (int, error) {
	v := getenv(name)
	if v == "" {
		return absent, nil
	}
	n, err := strconv.ParseUint(v, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%s=%q is not a file descriptor", name, v)
	}
	return int(n), nil
}

// moveAway is for the transport stdio: what a task prints goes to stderr from now
// on, and what it reads is empty.
func moveAway(fdIn, fdOut int) (in, out int, err error) {
	if in, err = syscall.Dup(fdIn); err != nil {
		return 0, 0, fmt.Errorf("the pipe at fd %d: %w", fdIn, err)
	}
	if out, err = syscall.Dup(fdOut); err != nil {
		return 0, 0, fmt.Errorf("the pipe at fd %d: %w", fdOut, err)
	}
	null, err := syscall.Open(os.DevNull, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w", os.DevNull, err)
	}
	defer func() { _ = syscall.Close(null) }()
	if err = syscall.Dup3(null, 0, 0); err == nil {
		err = syscall.Dup3(2, 1, 0)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("redirect stdin and stdout: %w", err)
	}
	return in, out, nil
}
