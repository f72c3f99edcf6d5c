package embedded

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestPipe: what goes in comes out, in pieces of any size.
func TestPipe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := newPipe()
		data := make([]byte, rapid.IntRange(0, 3*pipeBuffer).Draw(t, "bytes"))
		for i := range data {
			data[i] = byte(i * 7 / 3)
		}
		seed := rapid.Uint64().Draw(t, "seed")
		go func() {
			r := rand.New(rand.NewPCG(seed, 1))
			for left := data; len(left) > 0; {
				n := min(1+r.IntN(100_000), len(left))
				if _, err := a.Write(left[:n]); err != nil {
					panic(err)
				}
				left = left[n:]
			}
			a.Close()
		}()
		r := rand.New(rand.NewPCG(seed, 2))
		var got []byte
		for {
			buf := make([]byte, 1+r.IntN(100_000))
			n, err := b.Read(buf)
			got = append(got, buf[:n]...)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, data) {
			t.Fatalf("%d bytes differ of %d", len(got), len(data))
		}
		if n := len(b.in.ring); n > pipeBuffer {
			t.Fatalf("holds %d bytes", n)
		}
	})
}

// TestPipeDeadlines: they wake who waits, and can be taken back.
func TestPipeDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPipe()
		start := time.Now()
		a.SetReadDeadline(start.Add(time.Second))
		_, err := a.Read(make([]byte, 1))
		if ne, ok := errors.AsType[net.Error](err); !errors.Is(err, os.ErrDeadlineExceeded) || !ok || !ne.Timeout() || time.Since(start) != time.Second {
			t.Errorf("read: %v after %v", err, time.Since(start))
		}
		a.SetDeadline(time.Now().Add(time.Second))
		n, err := a.Write(make([]byte, pipeBuffer+1))
		if n != pipeBuffer || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write: %d, %v", n, err)
		}
		a.SetDeadline(time.Time{})
		go func() {
			time.Sleep(time.Hour)
			io.ReadFull(b, make([]byte, pipeBuffer))
			b.Write([]byte("x"))
		}()
		if n, err := a.Write(make([]byte, pipeBuffer)); n != pipeBuffer || err != nil {
			t.Errorf("write: %d, %v", n, err)
		}
		if n, err := a.Read(make([]byte, 2)); n != 1 || err != nil {
			t.Errorf("read: %d, %v", n, err)
		}
	})
}

// TestPipeClose: both ends learn of it, also while they wait.
func TestPipeClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPipe()
		if _, err := b.Write([]byte("last")); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { b.Close() })
		if _, err := a.Write(make([]byte, pipeBuffer+1)); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("write to the closed end: %v", err)
		}
		if got, err := io.ReadAll(a); string(got) != "last" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read after Close: %v", err)
		}
		if _, err := b.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write after Close: %v", err)
		}
		if a.LocalAddr().Network() != "pipe" || !isLocal(a.RemoteAddr()) {
			t.Error("addresses")
		}
		a, b = newPipe()
		a.CloseWrite()
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("read after CloseWrite: %v", err)
		}
		if _, err := b.Write([]byte("x")); err != nil {
			t.Errorf("the other direction: %v", err)
		}
	})
}
