package store

import (
	"fmt"
	"strconv"
	"strings"
)

const segmentSuffix = ".seg"

func segmentName(n uint32) string { return fmt.Sprintf("%010d%s", n, segmentSuffix) }

func segmentNumber(name string) (uint32, bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(digits) != 10 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	return uint32(n), err == nil && n > 0
}

// segment is what the store knows of a segment: sums, nothing per message.
type segment struct {
	number uint32
	salt   uint32
	file   file // nil until the committer has made it

	size     int64 // written
	messages int64 // bytes of messages in it
	refs     int64 // ever in it
	live     int64 // not acknowledged

	readers int  // of file, outside the lock
	gone    bool // deleted; the last reader closes the file
	stuck   bool // compaction found nothing more to move
}

// liveBytes estimates what compaction would have to copy.
func (g *segment) liveBytes() int64 {
	if g.refs == 0 {
		return 0
	}
	return int64(float64(g.messages) * float64(g.live) / float64(g.refs))
}

// segments are in order, without holes. Store.mu guards them.
type segments struct{ list []*segment }

// get returns nil for a segment that is gone, or not there yet.
func (s *segments) get(n uint32) *segment {
	if len(s.list) == 0 || n < s.list[0].number {
		return nil
	}
	if i := int(n - s.list[0].number); i < len(s.list) {
		return s.list[i]
	}
	return nil
}

// need returns a segment, a new one with the given salt behind the last if it is
// not there yet. A roll that failed for want of space leaves one to be used again.
func (s *segments) need(n, salt uint32) *segment {
	if g := s.get(n); g != nil {
		return g
	}
	g := &segment{number: n, salt: salt}
	s.list = append(s.list, g)
	return g
}

func (s *segments) appended(n uint32, refs, bytes int) {
	g := s.get(n)
	g.refs += int64(refs)
	g.live += int64(refs)
	g.messages += int64(bytes)
}

func (s *segments) acked(n uint32) {
	if g := s.get(n); g != nil {
		g.live--
	}
}

// dead returns the oldest segment if nothing in it is live. active and what is
// behind it stays.
func (s *segments) dead(active uint32) *segment {
	if len(s.list) == 0 || s.list[0].number >= active || s.list[0].live > 0 {
		return nil
	}
	return s.list[0]
}

// victim returns the oldest segment if more than half of what is in the closed
// ones is dead. Copying what lives from the front to the end then costs, over a
// whole turn of the log, less than what it frees. A single one is left for later
// unless the disk is full.
func (s *segments) victim(active uint32, full bool) *segment {
	var closed, live int64
	n := 0
	for _, g := range s.list {
		if g.number >= active {
			break
		}
		n++
		closed += g.size
		live += g.liveBytes()
	}
	if n == 0 || n < 2 && !full || live*2 >= closed || s.list[0].stuck {
		return nil
	}
	return s.list[0]
}
