package embedded_test

import (
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// FuzzConnection feeds a connection, fresh or open, with arbitrary bytes. It must
// neither panic nor leave anything behind when the client is gone.
func FuzzConnection(f *testing.F) {
	b, err := embedded.Open(embedded.Options{Limits: embedded.Limits{MessageBytes: 1 << 16, Channels: 16, Queues: 100}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { b.Close() })
	for _, seed := range fuzzSeeds() {
		f.Add(true, seed)
		f.Add(false, seed)
	}
	f.Fuzz(func(t *testing.T, opened bool, data []byte) {
		r := rawDial(t, b)
		if opened {
			r.open(0)
		}
		read := make(chan struct{})
		go func() {
			defer close(read)
			_, _ = io.Copy(io.Discard, r.nc)
		}()
		_ = r.nc.SetWriteDeadline(time.Now().Add(10 * time.Second))
		_, _ = r.nc.Write(data) // fails when the broker has had enough
		r.nc.Close()
		<-read
		settled(t, func() bool { return len(b.Status().Connections) == 0 })
		s := b.Status()
		if s.Unacked != 0 || s.Consumers != 0 || s.Blocked != "" {
			t.Errorf("left behind: %+v", s)
		}
		var m runtime.MemStats
		if runtime.ReadMemStats(&m); m.HeapAlloc > 256<<20 {
			t.Errorf("%d bytes in use", m.HeapAlloc)
		}
	})
}

// fuzzSeeds are conversations that reach most of the server.
func fuzzSeeds() [][]byte {
	talk := func(methods ...wire.Method) []byte {
		var b []byte
		for _, m := range methods {
			b = wire.AppendMethodFrame(b, 1, m)
			if _, ok := m.(*wire.BasicPublish); ok {
				b = wire.AppendContent(b, 1, wire.ClassBasic, []byte{0x10, 0, 2}, []byte("body"), 4096)
			}
		}
		return b
	}
	login := append([]byte(wire.ProtocolHeader), wire.AppendMethodFrame(nil, 0, startOk("PLAIN", "\x00guest\x00guest"))...)
	login = wire.AppendMethodFrame(login, 0, &wire.ConnectionTuneOk{ChannelMax: 10, FrameMax: 4096, Heartbeat: 1})
	login = wire.AppendMethodFrame(login, 0, &wire.ConnectionOpen{VirtualHost: "/"})
	topology := talk(&wire.ChannelOpen{}, &wire.ExchangeDeclare{Exchange: "x", Type: "topic", AutoDelete: true},
		&wire.QueueDeclare{Queue: "q", Exclusive: true, Arguments: wire.Table{"x-max-length": int32(2), "x-dead-letter-exchange": "x"}},
		&wire.QueueBind{Queue: "q", Exchange: "x", RoutingKey: "#"}, &wire.ExchangeBind{Destination: "x", Source: "amq.fanout"},
		&wire.QueueUnbind{Queue: "q", Exchange: "x", RoutingKey: "#"}, &wire.QueuePurge{Queue: "q"}, &wire.QueueDelete{Queue: "q"}, &wire.ChannelClose{})
	messages := talk(&wire.ChannelOpen{}, &wire.ConfirmSelect{}, &wire.QueueDeclare{Queue: "m", AutoDelete: true}, &wire.BasicQos{PrefetchCount: 2},
		&wire.BasicPublish{RoutingKey: "m"}, &wire.BasicPublish{RoutingKey: "m"}, &wire.BasicPublish{RoutingKey: "gone", Mandatory: true},
		&wire.BasicGet{Queue: "m"}, &wire.BasicReject{DeliveryTag: 1, Requeue: true}, &wire.BasicConsume{Queue: "m", ConsumerTag: "c"},
		&wire.BasicAck{DeliveryTag: 2}, &wire.BasicRecover{Requeue: true}, &wire.BasicNack{Multiple: true}, &wire.BasicCancel{ConsumerTag: "c"}, &wire.ChannelFlow{Active: true})
	return [][]byte{login, append(login, topology...), topology, messages, append(messages, wire.AppendHeartbeat(nil)...)}
}
