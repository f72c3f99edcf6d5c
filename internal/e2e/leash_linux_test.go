package e2e_test

import "syscall"

// leash makes a process end with the test binary, however that ends.
func leash() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
