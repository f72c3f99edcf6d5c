package faults

import "syscall"

// leash lets the process die with us, however we die.
func leash() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
