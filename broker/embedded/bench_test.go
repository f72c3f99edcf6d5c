package embedded_test

import (
	"context"
	"fmt"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker/embedded"
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
