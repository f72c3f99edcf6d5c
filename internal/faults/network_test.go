package faults

import (
	"bytes"
	"io"
	"net"
	"testing"

	"github.com/rs/zerolog/log"
)

// TestTheNetworkIsSilent: one of toxiproxy's toxics writes to zerolog's global logger,
// that is to stderr, whatever logger the proxy has.
func TestTheNetworkIsSilent(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	n, err := newNetwork(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	var said bytes.Buffer
	before := log.Logger
	log.Logger = log.Output(&said)
	if err := n.add(toxic{Type: "bandwidth", Stream: toBroker, Attributes: map[string]any{"rate": 1000}}); err != nil {
		t.Fatal(err)
	}
	out, err := new(net.Dialer).DialContext(t.Context(), "tcp", n.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := out.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(in, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	n.reset(t.Context()) // the toxic has ended
	log.Logger = before
	if said.Len() > 0 {
		t.Errorf("it says: %s", &said)
	}
}
