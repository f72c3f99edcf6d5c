package osproc

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// guardScript is told the groups that live, and when it is told no more, because
// we are dead, kills them, and then whatever has our mark.
const guardScript = `
while read -r op group; do
	case $op in
	+) eval "g$group=1" ;;
	-) unset "g$group" ;;
	esac
done
for group in $(set | sed -n 's/^g\([0-9][0-9]*\)=.*/\1/p'); do
	kill -9 -- "-$group" 2>/dev/null
done
for round in 1 2 3 4 5 6 7 8 9 10; do
	found=$(grep -l "` + markName + `=$1[.]" /proc/[0-9]*/environ 2>/dev/null | sed 's/[^0-9]//g')
	[ -n "$found" ] || exit 0
	kill -9 $found 2>/dev/null
done
`

// guard is the process that outlives us for a moment. A nil one does nothing. It
// belongs to the Host's mutex.
type guard struct {
	host *Host
	pid  int
	pipe *os.File
}

// startGuard starts a guard and tells it the groups that live. Without a shell
// there is none.
func startGuard(h *Host) *guard {
	g := &guard{host: h}
	if err := g.start(); err != nil {
		h.log.Warn("no guard: when this program is killed, what its processes have started lives on", "err", err)
		return nil
	}
	for pid := range h.procs {
		if err := g.write("+", pid); err != nil {
			h.log.Warn("guard", "err", err)
		}
	}
	return g
}

func (g *guard) start() error {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	defer func() { _ = unix.Close(ends[0]) }()
	err := unix.SetNonblock(ends[1], true)
	if err == nil {
		null := g.host.null.Fd()
		g.pid, err = syscall.ForkExec("/bin/sh", []string{"magne-guard", "-c", guardScript, "magne-guard", g.host.id}, &syscall.ProcAttr{
			Dir: "/", Env: []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}, Files: []uintptr{uintptr(ends[0]), null, null},
			Sys: &syscall.SysProcAttr{Setsid: true}, // out of reach of a signal to our group
		})
	}
	if err != nil {
		_ = unix.Close(ends[1])
		return err
	}
	g.pipe = os.NewFile(uintptr(ends[1]), "guard")
	return nil
}

// tell tells of a group that was born (+) or died (-). A guard that does not
// listen is replaced.
func (g *guard) tell(op string, pid int) {
	if g == nil {
		return
	}
	if err := g.write(op, pid); err != nil {
		g.host.log.Warn("the guard does not answer and is replaced", "err", err)
		g.bury()
		g.host.guard = startGuard(g.host)
	}
}

func (g *guard) write(op string, pid int) error {
	if err := g.pipe.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	_, err := fmt.Fprintf(g.pipe, "%s %d\n", op, pid)
	return err
}

// bury kills and reaps the guard.
func (g *guard) bury() {
	_ = unix.Kill(g.pid, unix.SIGKILL) // it is our child and not reaped: the number is its own
	g.pipe.Close()
	_, _ = g.host.reapChild(g.pid, nil) // there is nothing to learn from its end
}

// quit ends the guard without a kill.
func (g *guard) quit() {
	if g != nil {
		g.bury()
	}
}
