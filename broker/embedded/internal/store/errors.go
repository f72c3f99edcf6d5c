package store

import (
	"errors"
	"fmt"
)

// Errors to compare with errors.Is.
var (
	ErrFull    = errors.New("store: disk is full")
	ErrClosed  = errors.New("store: closed")
	ErrMoved   = errors.New("store: segment is gone") // Read: ask the index for the Loc again
	ErrBacklog = errors.New("store: disk does not keep up")
	ErrTooBig  = errors.New("store: record is too big")
)

// LockedError says that another process uses the directory.
type LockedError struct {
	Dir string
	PID int // 0 if unknown
}

// Error names the directory and the process.
func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("store: %s is in use by another process", e.Dir)
	}
	return fmt.Sprintf("store: %s is in use by process %d", e.Dir, e.PID)
}

// VersionError says that the directory was written by another version of this program.
type VersionError struct {
	File      string
	Got, Want int
}

// Error names both versions.
func (e *VersionError) Error() string {
	return fmt.Sprintf("store: %s has format version %d, this program reads %d", e.File, e.Got, e.Want)
}

// CorruptError says that something that was once on disk cannot be read.
type CorruptError struct {
	File    string // name in the directory
	Segment uint32 // 0 in the journal
	Offset  int64  // where the damaged record begins
	Reason  string
}

// Error names the place.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("store: %s is damaged at offset %d: %s", e.File, e.Offset, e.Reason)
}
