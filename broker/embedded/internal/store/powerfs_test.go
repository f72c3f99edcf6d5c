package store

import (
	"bytes"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

// powerFS is a disk in memory that can lose power: what was not synced is then
// there in part, a sector at a time and in no order; so are names.
type powerFS struct {
	mu      sync.Mutex
	names   map[string]*inode // now
	durable map[string]*inode // after power loss, for certain
	nameOps []nameOp          // not yet certain

	onOp  func(op Op) // called with mu held before each operation that changes the disk
	limit int64       // bytes that the disk has; 0: no limit
}

type inode struct {
	data    []byte
	durable []byte
	ops     []dataOp
}

type dataOp struct {
	truncate bool
	off      int64 // or the size
	data     []byte
}

type nameOp struct {
	name string
	node *inode // nil: gone
}

const sector = 512

func newPowerFS() *powerFS {
	return &powerFS{names: map[string]*inode{}, durable: map[string]*inode{}}
}

func (o *dataOp) apply(b []byte) []byte {
	end := o.off
	if !o.truncate {
		end += int64(len(o.data))
	}
	if int64(len(b)) < end {
		b = append(b, make([]byte, end-int64(len(b)))...)
	}
	if o.truncate {
		return b[:o.off]
	}
	copy(b[o.off:], o.data)
	return b
}

// afterLoss returns what the disk has when the power is back. f.mu is held.
func (f *powerFS) afterLoss(rng *rand.Rand) *powerFS {
	keep := []func() bool{
		func() bool { return false },
		func() bool { return true },
		func() bool { return rng.IntN(2) == 0 },
		func() bool { return rng.IntN(8) != 0 },
	}[rng.IntN(4)]
	after := newPowerFS()
	copies := map[*inode]*inode{}
	node := func(n *inode) *inode {
		if copies[n] == nil {
			copies[n] = n.afterLoss(keep)
		}
		return copies[n]
	}
	for name, n := range f.durable {
		after.names[name] = node(n)
	}
	for _, op := range f.nameOps {
		switch {
		case !keep():
		case op.node == nil:
			delete(after.names, op.name)
		default:
			after.names[op.name] = node(op.node)
		}
	}
	maps.Copy(after.durable, after.names)
	return after
}

// afterKill returns what the disk has when only the process is gone: all of it,
// and no less uncertain than before. f.mu is held.
func (f *powerFS) afterKill() *powerFS {
	after := newPowerFS()
	copies := map[*inode]*inode{nil: nil}
	node := func(n *inode) *inode {
		if _, ok := copies[n]; !ok {
			copies[n] = &inode{data: bytes.Clone(n.data), durable: bytes.Clone(n.durable), ops: slices.Clone(n.ops)}
		}
		return copies[n]
	}
	for name, n := range f.names {
		after.names[name] = node(n)
	}
	for name, n := range f.durable {
		after.durable[name] = node(n)
	}
	for _, op := range f.nameOps {
		after.nameOps = append(after.nameOps, nameOp{op.name, node(op.node)})
	}
	return after
}

func (n *inode) afterLoss(keep func() bool) *inode {
	b := bytes.Clone(n.durable)
	for _, op := range n.ops {
		if op.truncate {
			if keep() {
				b = op.apply(b)
			}
			continue
		}
		for start := int64(0); start < int64(len(op.data)); {
			end := min(int64(len(op.data)), (op.off+start)/sector*sector+sector-op.off)
			if keep() {
				part := dataOp{off: op.off + start, data: op.data[start:end]}
				b = part.apply(b)
			}
			start = end
		}
	}
	return &inode{data: b, durable: bytes.Clone(b)}
}

func (f *powerFS) op(op Op) {
	if f.onOp != nil {
		f.onOp(op)
	}
}

func (f *powerFS) open(name string, flag int) (file, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.names[name]
	if n == nil {
		if flag&os.O_CREATE == 0 {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		f.op(OpCreate)
		n = &inode{}
		f.names[name] = n
		f.nameOps = append(f.nameOps, nameOp{name, n})
	}
	h := &powerFile{fs: f, n: n}
	if flag&os.O_TRUNC != 0 && len(n.data) > 0 {
		h.change(dataOp{truncate: true})
	}
	return h, nil
}

func (f *powerFS) rename(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.op(OpRename)
	n := f.names[from]
	delete(f.names, from)
	f.names[to] = n
	// A journalling file system does both or none.
	f.nameOps = append(f.nameOps, nameOp{to, n})
	return nil
}

func (f *powerFS) remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.names[name] == nil {
		return fs.ErrNotExist
	}
	f.op(OpRemove)
	delete(f.names, name)
	f.nameOps = append(f.nameOps, nameOp{name, nil})
	return nil
}

func (f *powerFS) syncDir(string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.op(OpSyncDir)
	for _, op := range f.nameOps {
		if op.node == nil {
			delete(f.durable, op.name)
		} else {
			f.durable[op.name] = op.node
		}
	}
	f.nameOps = nil
	return nil
}

func (f *powerFS) list(string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for name := range f.names {
		names = append(names, filepath.Base(name))
	}
	return names, nil
}

func (f *powerFS) makeDir(string) error { return nil }

func (f *powerFS) lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

func (f *powerFS) used() (n int64) {
	for _, node := range f.names {
		n += int64(len(node.data))
	}
	return n
}

type powerFile struct {
	fs *powerFS
	n  *inode
}

// change does an operation. fs.mu is held.
func (h *powerFile) change(op dataOp) {
	if op.truncate {
		h.fs.op(OpTruncate)
	} else {
		h.fs.op(OpWrite)
	}
	h.n.ops = append(h.n.ops, op)
	h.n.data = op.apply(h.n.data)
}

func (h *powerFile) ReadAt(p []byte, off int64) (int, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	return bytes.NewReader(h.n.data).ReadAt(p, off)
}

// WriteAt writes what fits on the disk.
func (h *powerFile) WriteAt(p []byte, off int64) (int, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	n := int64(len(p))
	if grow := off + n - int64(len(h.n.data)); h.fs.limit > 0 && grow > 0 {
		n -= max(0, min(n, grow-max(0, h.fs.limit-h.fs.used())))
	}
	if n > 0 {
		h.change(dataOp{off: off, data: slices.Clone(p[:n])})
	}
	if n < int64(len(p)) {
		return int(n), syscall.ENOSPC
	}
	return int(n), nil
}

func (h *powerFile) Truncate(size int64) error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	h.change(dataOp{truncate: true, off: size})
	return nil
}

func (h *powerFile) sync() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	h.fs.op(OpSync)
	h.n.durable, h.n.ops = bytes.Clone(h.n.data), nil
	return nil
}

func (h *powerFile) size() (int64, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	return int64(len(h.n.data)), nil
}

func (h *powerFile) allocate(size int64) error {
	have, _ := h.size()
	_, err := h.WriteAt(make([]byte, max(0, size-have)), have)
	return err
}

func (h *powerFile) Close() error { return nil }
