package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// Summary is what a directory holds, whoever owns it.
type Summary struct {
	Messages int       // not done
	Bytes    int64     // of all files
	Oldest   time.Time // when the oldest message was put; zero: there is none
	Owners   []Owner   // of the segments with messages
	Damaged  int64     // bytes that cannot be read
	Kept     []string  // files that were kept because something in them could not be read
	Foreign  []string  // files with the names of segments that no spool has written
}

// Owner is a process that has written, or taken over, some of the messages.
type Owner struct {
	PID      int
	Alive    bool // it runs, and has them
	Messages int
}

// Look reads a directory and changes nothing. A directory that is missing is empty.
func Look(dir string) (Summary, error) {
	var sum Summary
	segments, damaged, err := segmentsOf(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return sum, nil
	}
	if err != nil {
		return sum, fmt.Errorf("spool: %w", err)
	}
	sum.Bytes, sum.Kept = sizeOf(segments, damaged), damaged
	owners := map[Owner]int{}
	for _, path := range segments {
		var alive bool
		err := readable(path)
		if err == nil {
			alive, err = owned(path)
		}
		if err == nil {
			err = sum.count(path, Owner{PID: ownerOf(path), Alive: alive}, owners)
		}
		if errors.Is(err, errForeign) {
			sum.Foreign = append(sum.Foreign, path)
			continue
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // done meanwhile
			return sum, fmt.Errorf("spool: %w", err)
		}
	}
	for i := range sum.Owners {
		sum.Owners[i].Messages = owners[Owner{PID: sum.Owners[i].PID, Alive: sum.Owners[i].Alive}]
	}
	return sum, nil
}

func (sum *Summary) count(path string, who Owner, owners map[Owner]int) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !isOurs(path, text) {
		return errForeign
	}
	s := read(text)
	sum.Damaged += s.damaged
	n := s.open()
	if n == 0 {
		return nil
	}
	if owners[who] == 0 {
		sum.Owners = append(sum.Owners, who)
	}
	owners[who] += n
	sum.Messages += n
	for i := range s.puts {
		if p := &s.puts[i]; !p.done && (sum.Oldest.IsZero() || p.put.Before(sum.Oldest)) {
			sum.Oldest = p.put
		}
	}
	return nil
}

// owned reports whether a process has the segment.
func owned(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close() // and with it the lock
	err = lock(f)
	if errors.Is(err, errOwned) {
		return true, nil
	}
	return false, err
}

// Drop gives up all messages that wait in s, and the files that were kept because
// of damage, and returns how many messages it were. It is for nobody who flushes.
func (s *Spool) Drop() (int, error) {
	s.mu.Lock()
	n := s.ready.Len() + len(s.later)
	for e := s.ready.Front(); e != nil; e = e.Next() {
		s.markLocked(e.Value.(*entry))
	}
	for _, e := range s.later {
		s.markLocked(e)
	}
	s.ready.Init()
	s.later = nil
	s.stats.Withdrawn += int64(n)
	s.mu.Unlock()
	s.poke()
	_, damaged, err := segmentsOf(s.o.Dir)
	for _, path := range damaged {
		err = errors.Join(err, os.Remove(path))
	}
	return n, err
}
