package copies

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Variable is the environment variable with the number of a copy.
const Variable = "MAGNE_COPY"

// Number is the number of this process if it is a copy, else 0.
func Number() int {
	n, err := strconv.Atoi(os.Getenv(Variable))
	if err != nil || n < 1 {
		return 0
	}
	return n
}

// Environ is the environment of a copy: that of the program, as os.Environ has it,
// with the number and the control socket of the copy, and without what is between
// the program and its service manager.
func Environ(base []string, number int, socket string) []string {
	own := []string{Variable + "=" + strconv.Itoa(number), "MAGNE_CONTROL_SOCKET=" + socket, "MAGNE_PROCESSES=1"}
	drop := []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}
	for _, kv := range own {
		name, _, _ := strings.Cut(kv, "=")
		drop = append(drop, name)
	}
	var env []string
	for _, kv := range base {
		keep := true
		for _, name := range drop {
			keep = keep && !strings.HasPrefix(kv, name+"=")
		}
		if keep {
			env = append(env, kv)
		}
	}
	return append(env, own...)
}

// maxSocket is the longest path of a unix socket in bytes.
const maxSocket = 107

// MakeDir makes a directory for the sockets of the copies, which only this user may
// enter: in the first of the directories where a path is not too long for a socket.
func MakeDir(in ...string) (dir string, err error) {
	for _, base := range in {
		if !filepath.IsAbs(base) {
			continue
		}
		if dir, err = os.MkdirTemp(base, "magne-"); err != nil {
			continue
		}
		if len(socketPath(dir, 1000)) <= maxSocket {
			return dir, nil
		}
		err = &os.PathError{Op: "mkdir", Path: dir, Err: os.ErrInvalid}
		_ = os.Remove(dir) // empty
	}
	if err == nil {
		err = os.ErrNotExist
	}
	return "", err
}

func socketPath(dir string, number int) string {
	return filepath.Join(dir, strconv.Itoa(number)+".sock")
}
