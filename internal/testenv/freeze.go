package testenv

import "os"

// Freeze stops a process (SIGSTOP), and Thaw has it go on (SIGCONT): it is there, and
// does nothing. They are for systems that have these signals; where there are none
// they fail.
func Freeze(p *os.Process) error { return p.Signal(sigStop) }

// Thaw is the opposite of [Freeze].
func Thaw(p *os.Process) error { return p.Signal(sigCont) }
