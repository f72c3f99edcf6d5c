package osproc

import (
	"bytes"
	"errors"
	"time"
)

// Stat is what a process uses at a moment.
type Stat struct {
	State   byte          // of /proc: R running, S sleeping, D in the kernel, T stopped, Z dead
	CPU     time.Duration // user and system, since its start
	RSS     int64         // bytes
	Threads int
}

// procStat are the fields of /proc/PID/stat that we use.
type procStat struct {
	state     byte
	ppid      int
	pgrp      int
	session   int
	utime     int64 // ticks of 10 ms
	stime     int64
	threads   int
	starttime int64 // ticks since boot: with the PID the identity of a process
	rss       int64 // pages
}

var errStat = errors.New("osproc: /proc/PID/stat is not as expected")

// parseStat parses /proc/PID/stat without an allocation. The second field is the
// name of the program in parentheses and may hold anything, parentheses too.
func parseStat(b []byte) (procStat, error) {
	var s procStat
	i := bytes.LastIndexByte(b, ')')
	if i < 0 || i+2 >= len(b) {
		return s, errStat
	}
	s.state = b[i+2]
	fields := 3 // of proc(5), that b[i] is behind
	for i += 3; i < len(b); i++ {
		if b[i] == ' ' {
			fields++
			continue
		}
		n, end := number(b, i)
		if end == i {
			break
		}
		s.set(fields, n)
		i = end - 1
	}
	if fields < 24 {
		return s, errStat
	}
	return s, nil
}

// parseSchedstat parses /proc/PID/schedstat: how long it had a processor, and how
// long it waited for one, in nanoseconds.
func parseSchedstat(b []byte) (ran, waited time.Duration) {
	fields := bytes.Fields(b)
	if len(fields) < 2 {
		return 0, 0
	}
	r, _ := number(fields[0], 0)
	w, _ := number(fields[1], 0)
	return time.Duration(r), time.Duration(w)
}

func (s *procStat) set(field int, n int64) {
	switch field {
	case 4:
		s.ppid = int(n)
	case 5:
		s.pgrp = int(n)
	case 6:
		s.session = int(n)
	case 14:
		s.utime = n
	case 15:
		s.stime = n
	case 20:
		s.threads = int(n)
	case 22:
		s.starttime = n
	case 24:
		s.rss = n
	}
}

// number parses an integer at i and returns where it ends.
func number(b []byte, i int) (n int64, end int) {
	negative := b[i] == '-'
	end = i
	if negative {
		end++
	}
	for ; end < len(b) && '0' <= b[end] && b[end] <= '9'; end++ {
		n = n*10 + int64(b[end]-'0')
	}
	if negative {
		n = -n
	}
	return n, end
}
