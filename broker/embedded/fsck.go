package embedded

import "github.com/magne-actors/magne-actors/broker/embedded/internal/store"

// What the log says of itself, for a command that has no broker.
type (
	// Report is what Fsck found in a directory, or what Repair gave up.
	Report = store.Report
	// Problem is a part of a file that cannot be read.
	Problem = store.Problem
	// LockedError says that another process uses the directory.
	LockedError = store.LockedError
	// CorruptError says that something that was once on disk cannot be read.
	CorruptError = store.CorruptError
	// VersionError says that the files are of another version of the format.
	VersionError = store.VersionError
)

// Fsck reads a whole directory and changes nothing. It needs memory for the
// live messages. The error is a *LockedError if a process uses the directory, or
// what kept Fsck from reading; what is wrong with the contents is in the report.
func Fsck(dir string) (Report, error) { return store.Fsck(dir) }

// Repair makes a directory readable for Open by giving up what cannot be read,
// and returns what that was. Messages in it are lost; messages that were
// acknowledged in it are live again. A file without a usable header is kept,
// under its name with ".damaged" behind it. Make a copy first.
func Repair(dir string) (Report, error) { return store.Repair(dir) }
