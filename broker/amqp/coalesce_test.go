package amqp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// pipe returns a coalescer and the peer's end of its connection. net.Pipe has no
// buffer: what the peer does not read is not written.
func pipe(t *testing.T, timeout time.Duration) (*coalescer, net.Conn) {
	t.Helper()
	ours, peer := net.Pipe()
	w := newCoalescer(ours, timeout)
	t.Cleanup(func() {
		w.abort()
		peer.Close()
		<-w.flushed
	})
	return w, peer
}

// countingConn counts the writes that arrive at the socket.
type countingConn struct {
	net.Conn
	writes atomic.Int64
}

func (c *countingConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

func write(t *testing.T, w *coalescer, p []byte) {
	t.Helper()
	if n, err := w.Write(p); n != len(p) || err != nil {
		t.Fatalf("Write: got %d, %v", n, err)
	}
}

func TestCoalescerGathers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, peer := net.Pipe()
		c := &countingConn{Conn: ours}
		w := newCoalescer(c, time.Minute)
		var want bytes.Buffer
		for i := range 1000 {
			p := []byte{byte(i), byte(i >> 8)}
			write(t, w, p)
			want.Write(p)
			if i == 0 {
				synctest.Wait() // the first is on its way alone
			}
		}
		got := make([]byte, want.Len())
		if _, err := io.ReadFull(peer, got); err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Errorf("the peer read something else, err %v", err)
		}
		if n := c.writes.Load(); n != 2 {
			t.Errorf("got %d writes for 1000, want 2", n)
		}
		w.Close()
	})
}

func TestCoalescerCloseFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, peer := pipe(t, time.Minute)
		write(t, w, []byte("last words"))
		go w.Close()
		got, err := io.ReadAll(peer)
		if err != nil || string(got) != "last words" {
			t.Errorf("the peer read %q, %v", got, err)
		}
		synctest.Wait()
		if _, err := w.Write([]byte("x")); err == nil {
			t.Error("Write after Close: got no error")
		}
	})
}

// TestCoalescerStuckPeer: a peer that does not read is an error after the
// timeout, and until then no Write blocks.
func TestCoalescerStuckPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := pipe(t, 3*time.Second)
		start := time.Now()
		for range 100 {
			write(t, w, make([]byte, 10_000))
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("Write blocked for %v", took)
		}
		err := w.awaitRoom(t.Context())
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Errorf("awaitRoom: got %v after %v, want a timeout after 3 s", err, time.Since(start))
		}
		if _, err := w.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write: got %v, want the timeout", err)
		}
		if err := w.failure(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("failure: got %v, want the timeout", err)
		}
		if _, err := w.Conn.Read(make([]byte, 1)); err == nil {
			t.Error("the socket is not closed: the library's reader would never end")
		}
	})
}

// TestCoalescerPatience: a peer that has announced that it does not read may do
// so for as long as it likes.
func TestCoalescerPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, peer := pipe(t, 3*time.Second)
		w.setPatient(true)
		write(t, w, []byte("patience"))
		<-time.After(time.Hour)
		got := make([]byte, 8)
		if _, err := io.ReadFull(peer, got); err != nil || string(got) != "patience" {
			t.Errorf("an hour later the peer read %q, %v", got, err)
		}
	})
}

func TestCoalescerRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, peer := pipe(t, time.Hour)
		write(t, w, make([]byte, 1)) // taken by the goroutine
		synctest.Wait()
		if err := w.awaitRoom(t.Context()); err != nil {
			t.Errorf("awaitRoom of an empty buffer: %v", err)
		}
		write(t, w, make([]byte, roomyBytes))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.awaitRoom(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("awaitRoom of a full buffer: got %v, want the end of ctx", err)
		}
		room := make(chan error, 1)
		go func() { room <- w.awaitRoom(t.Context()) }()
		go io.Copy(io.Discard, peer)
		if err := <-room; err != nil {
			t.Errorf("awaitRoom after the peer has read: %v", err)
		}
	})
}
