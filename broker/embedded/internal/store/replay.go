package store

// internMax is how many names replay remembers, so that a million messages with
// the same routing key have one string.
const internMax = 4096

// markState is what the marks of a file said.
type markState struct {
	group uint64
	end   int64 // of the last mark, if that said that all before it is on disk
}

func (m *markState) see(p []byte, off int64) {
	m.group = max(m.group, le.Uint64(p))
	m.end = -1
	if int64(le.Uint32(p[8:])) == off {
		m.end = off + markBytes
	}
}

// clean reports whether a file of that size ends with such a mark.
func (m *markState) clean(size int64) bool { return m.end == size }

// replay hands the records of a file to the index.
type replay struct {
	index Index
	file  string
	f     file
	seg   *segment // nil for the journal
	mark  markState
	cuts  []cut

	buf   []byte // the scanner's, from file to file
	refs  []Ref
	names map[string]string
	last  [2]string // exchange and key of the message before
}

func (r *replay) damage(d damage) error {
	if d.torn {
		r.cuts = append(r.cuts, cut{f: r.f, name: r.file, damage: d})
		return nil
	}
	e := &CorruptError{File: r.file, Offset: d.from, Reason: d.reason}
	if r.seg != nil {
		e.Segment = r.seg.number
	}
	return e
}

func (r *replay) journal(j *journal, kind byte, p []byte, off int64) error {
	switch kind {
	case recMark:
		r.mark.see(p, off)
	case recPut:
		key, value := parsePut(p)
		j.set(key, append([]byte{}, value...))
	case recDelete:
		j.set(string(p), nil)
	}
	return nil
}

func parsePut(p []byte) (key string, value []byte) {
	n := le.Uint32(p)
	return string(p[4 : 4+n]), p[4+n:]
}

func (r *replay) segment(kind byte, p []byte, off int64) error {
	switch kind {
	case recMark:
		r.mark.see(p, off)
	case recMessage, recCopy:
		return r.message(kind, p, off)
	case recCounts:
		for ; len(p) > 0; p = p[copyBytes:] {
			r.index.Redelivered(parseRef(p), le.Uint32(p[refBytes:]))
		}
	case recAcks:
		for ; len(p) > 0; p = p[runBytes:] {
			first := parseRef(p)
			r.index.Acked(first.Queue, first.Seq, le.Uint64(p[refBytes:]))
		}
	}
	return nil
}

func (r *replay) message(kind byte, p []byte, off int64) error {
	raw, err := parseMessage(kind, p)
	if err != nil {
		return r.damage(damage{from: off, reason: err.Error()})
	}
	each := refSize(kind)
	r.refs = r.refs[:0]
	for b := raw.refs; len(b) > 0; b = b[each:] {
		r.refs = append(r.refs, parseRef(b))
	}
	m := Record{
		Time: raw.time, Props: raw.props, Body: raw.body,
		Exchange: r.name(0, raw.exchange), Key: r.name(1, raw.key),
	}
	r.seg.refs += int64(len(r.refs))
	r.seg.messages += recHeader + int64(len(p))
	r.index.Message(&m, r.refs, Loc{Segment: r.seg.number, Offset: uint32(off)})
	if kind == recCopy {
		for i, ref := range r.refs {
			if n := le.Uint32(raw.refs[i*copyBytes+refBytes:]); n > 0 {
				r.index.Redelivered(ref, n)
			}
		}
	}
	return nil
}

// name returns b as a string, the same one as before if it can.
func (r *replay) name(which int, b []byte) string {
	if string(b) == r.last[which] {
		return r.last[which]
	}
	s, ok := r.names[string(b)]
	if !ok {
		s = string(b)
		if r.names == nil {
			r.names = make(map[string]string)
		}
		if len(r.names) < internMax {
			r.names[s] = s
		}
	}
	r.last[which] = s
	return s
}
