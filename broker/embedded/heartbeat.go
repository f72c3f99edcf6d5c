package embedded

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// heartbeat looks twice in each interval whether something was written, and
// writes a heartbeat if nothing was; and whether something came: if nothing did
// for two intervals the client counts as dead. A nil one does nothing.
type heartbeat struct {
	c    *conn
	half time.Duration
	dead atomic.Bool

	mu      sync.Mutex
	timer   *time.Timer // nil after stop
	sent    uint64      // out.sent when looked at last
	read    uint64
	silence int // looks since something came
}

func startHeartbeat(c *conn, interval time.Duration) *heartbeat {
	if interval == 0 {
		return nil
	}
	h := &heartbeat{c: c, half: interval / 2}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.timer = time.AfterFunc(h.half, h.look)
	return h
}

func (h *heartbeat) look() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.timer == nil {
		return
	}
	h.timer.Reset(h.half)
	if sent := h.c.out.sent.Load(); sent != h.sent {
		h.sent = sent
	} else {
		h.sent++ // by this one
		h.c.out.raw(wire.AppendHeartbeat(nil))
	}
	read := h.c.read.Load()
	// Who is not read now, because publishers wait or it does not take its answers,
	// cannot be heard. The write timeout is for the latter.
	if read != h.read || h.c.busy.Load() {
		h.read, h.silence = read, 0
		return
	}
	if h.silence++; h.silence >= 4 {
		h.dead.Store(true)
		h.c.nc.Close()
	}
}

// missed reports whether the client counts as dead.
func (h *heartbeat) missed() bool { return h != nil && h.dead.Load() }

func (h *heartbeat) stop() {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.timer != nil {
		h.timer.Stop()
		h.timer = nil
	}
}
