package main

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/magne-actors/magne-actors/broker/amqp"
)

func TestUnreachableSaysPlainPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		defer func() { _ = recover() }()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("AMQP\x00\x00\x09\x01")) // what a broker says to one who speaks no AMQP
			_ = c.Close()
		}
	}()
	_, err = amqp.Dialer{URL: "amqps://" + l.Addr().String() + "/"}.Dial(t.Context())
	if err == nil {
		t.Fatal("a TLS session with a port that speaks none")
	}
	status, ok := errors.AsType[*statusError](unreachable(nil, err))
	if !ok || status.status != exitUnreachable || !strings.Contains(status.hint, "5671") {
		t.Errorf("got %v for %q, want the hint that names the port for TLS", status, err)
	}
}
