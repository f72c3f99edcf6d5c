package embedded_test

import (
	"context"
	"fmt"
	"net"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker/embedded"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// BenchmarkPublishConfirm publishes persistent messages of 100 bytes to a durable
// queue over TCP, at most 1000 of them unconfirmed.
func BenchmarkPublishConfirm(b *testing.B) {
	ch := benchChannel(b)
	confirms := ch.NotifyPublish(make(chan amqp.Confirmation, 1000))
	if err := ch.Confirm(false); err != nil {
		b.Fatal(err)
	}
	m := amqp.Publishing{Body: make([]byte, 100), DeliveryMode: amqp.Persistent}
	open, n := 0, 0
	for b.Loop() {
		if open == cap(confirms) {
			<-confirms
			open--
		}
		if err := ch.PublishWithContext(context.Background(), "", "bench", false, false, m); err != nil {
			b.Fatal(err)
		}
		open, n = open+1, n+1
	}
	for range open {
		<-confirms
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "msg/s")
}

// BenchmarkConsumeAck consumes and acknowledges such messages over TCP, with a
// prefetch of 1000, an ack for each.
func BenchmarkConsumeAck(b *testing.B) {
	ch := benchChannel(b)
	const most = 200_000
	fill(b, ch, most)
	if err := ch.Qos(1000, 0, false); err != nil {
		b.Fatal(err)
	}
	deliveries, err := ch.Consume("bench", "", false, false, false, false, nil)
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	for b.Loop() {
		d := <-deliveries
		if err := d.Ack(false); err != nil {
			b.Fatal(err)
		}
		if n++; n%most == 0 {
			b.StopTimer()
			fill(b, ch, most)
			b.StartTimer()
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "msg/s")
}

// BenchmarkServer is the broker's share of publish and confirm: the client writes
// frames that it made before, 1000 messages at a time, and counts the acks.
func BenchmarkServer(b *testing.B) {
	broker := open(b, embedded.Options{Dir: b.TempDir()})
	nc, err := net.Dial("tcp", listen(b, broker))
	if err != nil {
		b.Fatal(err)
	}
	r := newRaw(b, nc)
	r.open(0)
	r.channel(1)
	r.send(1, &wire.QueueDeclare{Queue: "bench", Durable: true}, &wire.ConfirmSelect{})
	r.want(1, &wire.QueueDeclareOk{Queue: "bench"}, &wire.ConfirmSelectOk{})
	const batch = 1000
	var frames []byte
	for range batch {
		frames = wire.AppendMethodFrame(frames, 1, &wire.BasicPublish{RoutingKey: "bench"})
		frames = wire.AppendContent(frames, 1, wire.ClassBasic, []byte{0x10, 0, 2}, make([]byte, 100), 4096)
	}
	b.ReportAllocs()
	var sent, confirmed uint64
	for b.Loop() { // of batches
		r.write(frames)
		for sent += batch; confirmed+batch < sent; {
			_, m := r.recv()
			confirmed = m.(*wire.BasicAck).DeliveryTag
		}
	}
	b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "msg/s")
}

func benchChannel(b *testing.B) *amqp.Channel {
	b.Helper()
	broker := open(b, embedded.Options{Dir: b.TempDir()})
	ch := channel(b, dialTCP(b, listen(b, broker)))
	if _, err := ch.QueueDeclare("bench", true, false, false, false, nil); err != nil {
		b.Fatal(err)
	}
	return ch
}

// fill puts n messages into the queue and waits until they are there.
func fill(b *testing.B, ch *amqp.Channel, n int) {
	b.Helper()
	m := amqp.Publishing{Body: make([]byte, 100), DeliveryMode: amqp.Persistent}
	for i := range n {
		m.MessageId = fmt.Sprint(i)
		if err := ch.PublishWithContext(context.Background(), "", "bench", false, false, m); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := ch.QueueDeclarePassive("bench", true, false, false, false, nil); err != nil { // after all of them
		b.Fatal(err)
	}
}
