package wire_test

import (
	"bytes"
	"fmt"
	"log"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// A broker that reads one method and answers it.
func Example() {
	fromClient := wire.AppendMethodFrame([]byte(wire.ProtocolHeader), 1, &wire.QueueDeclare{
		Queue: "orders", Durable: true, Arguments: wire.Table{"x-max-priority": int32(4)},
	})

	r := wire.NewReader(bytes.NewReader(fromClient))
	if err := r.ReadProtocolHeader(); err != nil {
		log.Fatal(err)
	}
	f, err := r.ReadFrame()
	if err != nil {
		log.Fatal(err)
	}
	m, err := wire.ParseMethod(f.Payload)
	if err != nil {
		log.Fatal(err)
	}
	var toClient []byte
	switch m := m.(type) {
	case *wire.QueueDeclare:
		fmt.Println(m.Name(), m.Queue, m.Arguments)
		toClient = wire.AppendMethodFrame(toClient, f.Channel, &wire.QueueDeclareOk{Queue: m.Queue})
	default:
		toClient = wire.AppendMethodFrame(toClient, 0, &wire.ConnectionClose{
			ReplyCode: wire.CodeNotImplemented,
			ReplyText: wire.ReplyText(wire.CodeNotImplemented, "not here"),
		})
	}
	fmt.Println(len(toClient), "bytes")
	// Output:
	// queue.declare orders map[x-max-priority:4]
	// 27 bytes
}

// A delivery is three frames, and the properties go out as they came in.
func ExampleAppendContent() {
	properties := wire.Properties{ContentType: "text/plain", DeliveryMode: wire.Persistent}
	raw, err := properties.AppendRaw(nil)
	if err != nil {
		log.Fatal(err)
	}
	out := wire.AppendDeliver(nil, 1, "consumer", 7, false, "", "orders")
	out = wire.AppendContent(out, 1, wire.ClassBasic, raw, []byte("hello"), 131072)

	r := wire.NewReader(bytes.NewReader(out))
	for f, err := r.ReadFrame(); err == nil; f, err = r.ReadFrame() {
		fmt.Println(f.Type, len(f.Payload))
	}
	// Output:
	// 1 30
	// 2 26
	// 3 5
}
