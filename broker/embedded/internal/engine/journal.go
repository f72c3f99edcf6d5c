package engine

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/queueargs"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/routing"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// The topology is in the store's journal under these keys. The name of a queue or
// an exchange follows, a hash of a binding.
const (
	queuePrefix    = "q/"
	exchangePrefix = "x/"
	bindingPrefix  = "b/"
	nextKey        = "next" // number of the next queue: they are never used twice

	metaVersion = 1 // first byte of each value
)

// journaled waits for what is written to the journal.
type journaled struct {
	what string // cannot be done
	wait sync.WaitGroup

	key  string // of what is declared; empty: nothing is
	mark *unsaved

	mu  sync.Mutex
	err error
}

// Stored implements store.Waiter.
func (j *journaled) Stored(err error) {
	j.fail(err)
	j.wait.Done()
}

func (j *journaled) fail(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		j.err = err
	}
}

// refused reports whether the journal did not even take something.
func (j *journaled) refused() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err != nil
}

// done waits until all is on disk. j may be nil.
func (j *journaled) done() error {
	if j == nil {
		return nil
	}
	j.wait.Wait()
	return refusal(j.what, j.err)
}

func (e *Engine) putMeta(key string, value []byte, j *journaled) {
	if e.store == nil {
		return
	}
	j.wait.Add(1)
	if err := e.store.PutMeta(key, value, j); err != nil {
		j.Stored(err)
	}
}

func (e *Engine) deleteMeta(key string, j *journaled) {
	if e.store == nil {
		return
	}
	j.wait.Add(1)
	if err := e.store.DeleteMeta(key, j); err != nil {
		j.Stored(err)
		return
	}
	delete(e.unsaved, key)
}

// unsaved marks what is in the topology but perhaps not in the journal: an equal
// declaration writes it again instead of answering for a disk that has not got it.
type unsaved struct {
	last *journaled // who wrote it last
}

// declare writes what is declared, with the lock of the topology.
func (e *Engine) declare(key string, value []byte, j *journaled) {
	if e.store == nil {
		return
	}
	e.putMeta(key, value, j)
	if j.refused() {
		return // it is not there, or as it was
	}
	mark := e.unsaved[key]
	if mark == nil {
		mark = &unsaved{}
		e.unsaved[key] = mark
	}
	mark.last = j
	j.key, j.mark = key, mark
}

// saved waits for the journal. If that fails, it leaves the mark, and calls
// undo, with the lock of the topology, unless an equal declaration was written since.
func (e *Engine) saved(j *journaled, undo func()) error {
	err := j.done()
	if j == nil || j.mark == nil {
		return err
	}
	e.topology.Lock()
	defer e.topology.Unlock()
	switch {
	case e.unsaved[j.key] != j.mark: // somebody has saved it, or it is deleted
	case err == nil:
		delete(e.unsaved, j.key)
	case j.mark.last == j && undo != nil:
		undo()
	}
	return err
}

func queueKey(name string) string    { return queuePrefix + name }
func exchangeKey(name string) string { return exchangePrefix + name }

func bindingKey(b routing.Binding) string {
	h := sha256.Sum256(encodeBinding(b))
	return bindingPrefix + hex.EncodeToString(h[:])
}

func (e *Engine) putQueue(q *Queue, j *journaled) {
	e.putMeta(nextKey, binary.BigEndian.AppendUint32([]byte{metaVersion}, q.id+uint32(len(q.lanes))), j)
	v := appendFlags([]byte{metaVersion}, q.auto)
	v = binary.BigEndian.AppendUint32(v, q.id)
	v = binary.BigEndian.AppendUint16(v, uint16(len(q.lanes)))
	e.declare(queueKey(q.name), appendArgs(v, q.args), j)
}

func (e *Engine) putExchange(x ExchangeSpec, j *journaled) {
	v := appendFlags([]byte{metaVersion}, x.AutoDelete, x.Internal)
	v = appendString(v, x.Type)
	e.declare(exchangeKey(x.Name), appendArgs(v, x.Args), j)
}

func (e *Engine) putBinding(b routing.Binding, j *journaled) {
	e.declare(bindingKey(b), encodeBinding(b), j)
}

func encodeBinding(b routing.Binding) []byte {
	v := appendFlags([]byte{metaVersion}, b.ToExchange)
	v = appendString(v, b.Source)
	v = appendString(v, b.Destination)
	v = appendString(v, b.Key)
	return appendArgs(v, b.Args)
}

func appendFlags(dst []byte, flags ...bool) []byte {
	var b byte
	for i, f := range flags {
		if f {
			b |= 1 << i
		}
	}
	return append(dst, b)
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// appendArgs appends arguments as the last part of a value.
func appendArgs(dst []byte, args wire.Table) []byte {
	dst, err := wire.AppendTable(dst, args)
	if err != nil {
		panic(err) // they were parsed, so they can be written
	}
	return dst
}

var errMeta = errors.New("not what this version writes")

// meta reads a value of the journal. After an error it yields zeros.
type meta struct {
	rest []byte
	err  error
}

func readMeta(value []byte) *meta {
	m := &meta{rest: value}
	if m.byte() != metaVersion {
		m.err = errMeta
	}
	return m
}

func (m *meta) bytes(n uint64) []byte {
	if m.err != nil || n > uint64(len(m.rest)) {
		m.err = errMeta
		return make([]byte, 8)[:min(n, 8)]
	}
	b := m.rest[:n]
	m.rest = m.rest[n:]
	return b
}

func (m *meta) byte() byte              { return m.bytes(1)[0] }
func (m *meta) flag(b byte, i int) bool { return b>>i&1 != 0 }
func (m *meta) uint32() uint32          { return binary.BigEndian.Uint32(m.bytes(4)) }
func (m *meta) uint16() uint16          { return binary.BigEndian.Uint16(m.bytes(2)) }

func (m *meta) string() string {
	n, used := binary.Uvarint(m.rest)
	if used <= 0 {
		m.err = errMeta
		return ""
	}
	m.bytes(uint64(used))
	if n > uint64(len(m.rest)) {
		m.err = errMeta
		return ""
	}
	return string(m.bytes(n))
}

func (m *meta) args() wire.Table {
	if m.err != nil || len(m.rest) == 0 {
		return nil
	}
	t, err := wire.ParseTable(m.rest)
	if err != nil {
		m.err = err
	}
	return t
}

// restore takes one key of the journal. Bindings wait until all that they bind is
// there.
func (x *index) restore(key string, value []byte) error {
	m := readMeta(value)
	e := x.e
	switch name := key; {
	case key == nextKey:
		e.nextID = max(e.nextID, m.uint32())
	case strings.HasPrefix(key, queuePrefix):
		return e.restoreQueue(name[len(queuePrefix):], m)
	case strings.HasPrefix(key, exchangePrefix):
		flags := m.byte()
		s := ExchangeSpec{Name: name[len(exchangePrefix):], Durable: true, AutoDelete: m.flag(flags, 0), Internal: m.flag(flags, 1)}
		s.Type, s.Args = m.string(), m.args()
		if m.err == nil {
			var t *routing.Table[*Queue]
			t, _, m.err = e.table.Load().Declare(s)
			e.table.Store(t)
		}
	case strings.HasPrefix(key, bindingPrefix):
		b := routing.Binding{ToExchange: m.flag(m.byte(), 0)}
		b.Source, b.Destination, b.Key, b.Args = m.string(), m.string(), m.string(), m.args()
		x.bindings = append(x.bindings, b)
	default:
		return fmt.Errorf("engine: unknown key %q in the journal", key)
	}
	if m.err != nil {
		return fmt.Errorf("engine: key %q in the journal: %w", key, m.err)
	}
	return nil
}

func (e *Engine) restoreQueue(name string, m *meta) error {
	d := queueargs.Declaration{Name: name, Durable: true}
	d.AutoDelete = m.flag(m.byte(), 0)
	id, lanes := m.uint32(), m.uint16()
	d.Args = m.args()
	if m.err != nil {
		return fmt.Errorf("engine: queue %q in the journal: %w", name, m.err)
	}
	policy, err := queueargs.Declare(d)
	if err != nil {
		return fmt.Errorf("engine: queue %q in the journal: %w", name, err)
	}
	set := settingsOf(policy)
	set.lanes = int(lanes)
	q := newQueue(e, id, d, set)
	e.enroll(q)
	e.nextID = max(e.nextID, id+uint32(lanes))
	e.table.Store(e.table.Load().AddQueue(name, q, true))
	return nil
}
