package spool

import "os"

// Break replaces how the bytes get to the disk; nil stays as it is. Nothing may
// have been put yet.
func (s *Spool) Break(writeAt func(*os.File, []byte, int64) (int, error), sync func(*os.File) error) {
	if writeAt != nil {
		s.disk.writeAt = writeAt
	}
	if sync != nil {
		s.disk.sync = sync
	}
}

// Lock takes a file as a process that owns it does.
func Lock(f *os.File) error { return lock(f) }

// Bounds of records in the text of a segment, for tests that damage one.
func Bounds(text []byte) [][2]int64 {
	var b [][2]int64
	for _, f := range read(text).puts {
		b = append(b, [2]int64{f.at, f.at + f.size})
	}
	return b
}
