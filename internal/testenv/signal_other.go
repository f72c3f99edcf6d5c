//go:build !unix

package testenv

import (
	"errors"
	"syscall"
)

const sigStop, sigCont syscall.Signal = 0, 0

func ownGroup() *syscall.SysProcAttr { return nil }

// kill returns an error: there is no node of ours on this system.
func kill(int, syscall.Signal) error { return errors.ErrUnsupported }
