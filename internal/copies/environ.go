package copies

import (
	"os"
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
