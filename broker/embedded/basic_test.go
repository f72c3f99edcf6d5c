package embedded_test

import (
	"fmt"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker/embedded"
)

// TestPublishConsume: messages go through, over both transports, with confirms.
func TestPublishConsume(t *testing.T) {
	b := open(t, embedded.Options{Dir: t.TempDir()})
	addr := listen(t, b)
	for name, conn := range map[string]*amqp.Connection{"pipe": dial(t, b, amqp.Config{}), "tcp": dialTCP(t, addr)} {
		t.Run(name, func(t *testing.T) {
			ch := channel(t, conn)
			q, err := ch.QueueDeclare("q."+name, true, false, false, false, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := ch.Confirm(false); err != nil {
				t.Fatal(err)
			}
			confirms := ch.NotifyPublish(make(chan amqp.Confirmation, 100))
			for i := range 100 {
				err := ch.PublishWithContext(t.Context(), "", q.Name, true, false, amqp.Publishing{
					Body: fmt.Append(nil, i), DeliveryMode: amqp.Persistent, Headers: amqp.Table{"n": int32(i)},
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			for i := range uint64(100) {
				if c := <-confirms; !c.Ack || c.DeliveryTag != i+1 {
					t.Fatalf("confirm %d: %+v", i+1, c)
				}
			}
			if err := ch.Qos(10, 0, false); err != nil {
				t.Fatal(err)
			}
			deliveries, err := ch.Consume(q.Name, "c", false, false, false, false, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 100 {
				d := <-deliveries
				if string(d.Body) != fmt.Sprint(i) || d.Headers["n"] != int32(i) || d.Redelivered || d.ConsumerTag != "c" {
					t.Fatalf("delivery %d: %+v", i, d)
				}
				if err := d.Ack(false); err != nil {
					t.Fatal(err)
				}
			}
			if n, err := ch.QueueDelete(q.Name, false, false, false); n != 0 || err != nil {
				t.Errorf("%d left, %v", n, err)
			}
		})
	}
}
