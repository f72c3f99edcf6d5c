package spool

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// errForeign: the file is none of the spool's.
var errForeign = errors.New("it is no file of a spool")

// isOurs reports whether a segment may be one that this package has written: by its
// name, or by how it begins, whoever has renamed it. Anything else is somebody's file,
// which is neither changed nor removed.
func isOurs(path string, text []byte) bool {
	return regexp.MustCompile(`^\d{19}-\d+\`+segmentSuffix+`$`).MatchString(filepath.Base(path)) ||
		len(text) >= segmentHead && string(text[:len(magic)]) == magic
}

// readable refuses what is no plain file before it is opened, which a pipe would hold up.
func readable(path string) error {
	info, err := os.Lstat(path)
	if err == nil && !info.Mode().IsRegular() {
		return errForeign
	}
	return err
}

// unborn is how long a process may take between making a file and owning it.
const unborn = time.Minute

// clear removes what a crash has left of a segment that was being made: nothing was
// put into it yet.
func (s *Spool) clear() {
	ours := regexp.MustCompile(`^\d{19}-\d+\` + segmentSuffix + `\` + newSuffix + `$`)
	entries, _ := os.ReadDir(s.o.Dir) // adopt has just read it
	for _, e := range entries {
		path := filepath.Join(s.o.Dir, e.Name())
		info, err := e.Info()
		if err != nil || !ours.MatchString(e.Name()) || !info.Mode().IsRegular() || time.Since(info.ModTime()) < unborn {
			continue
		}
		taken, err := owned(path)
		if err == nil && !taken {
			err = os.Remove(path)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.o.Logger.Warn("cannot remove what a crash has left in the spool: it holds no message, remove it", "file", path, "err", err)
		}
	}
}

// ignore says once which file is left alone.
func (s *Spool) ignore(path string) {
	if s.foreign[path] {
		return
	}
	s.foreign[path] = true
	s.o.Logger.Warn("a file in the directory of the spool is none of its own and is left alone: move it elsewhere", "file", path)
}
