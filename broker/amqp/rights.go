package amqp

import (
	"context"
	"crypto/rand"
	"fmt"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// Right is one of RabbitMQ's permissions on one exchange or queue.
type Right struct {
	Permission string `json:"permission"` // configure, write or read
	Kind       string `json:"kind"`       // exchange or queue
	Name       string `json:"name"`       // "" is the default exchange, amq.default in permissions
}

// String is "write on exchange \"amq.default\"", with the name that permissions
// are compared with.
func (r Right) String() string {
	return fmt.Sprintf("%s on %s %q", r.Permission, r.Kind, r.Resource())
}

// Resource is the name that the patterns of permissions are compared with.
func (r Right) Resource() string {
	if r.Kind == "exchange" && r.Name == "" {
		return "amq.default"
	}
	return r.Name
}

// Grant is the broker's answer to whether somebody has a right.
type Grant string

const (
	Granted Grant = "granted"
	Refused Grant = "refused"
	Unclear Grant = "unclear" // the broker is no RabbitMQ, or has answered something else
)

// May finds out whether the user of the connection has a right, and changes
// nothing: it asks for something that RabbitMQ refuses in any case, for want of
// the right (403) or because the request is wrong (406). To configure is asked for
// with an argument of a wrong type, to read with a consumer that has one, and to
// write with a message that names another user and would reach no queue. The
// order of these checks is that of RabbitMQ 3.10.8. Words are the broker's own.
func (a *Admin) May(ctx context.Context, r Right) (g Grant, words string, err error) {
	if product, _ := a.Product(); product != "RabbitMQ" {
		return Unclear, product + " has no permissions that this knows of", nil
	}
	ask, ok := map[Right]func(*amqp091.Channel, string) error{
		{Permission: "configure", Kind: "queue"}:    askConfigureQueue,
		{Permission: "configure", Kind: "exchange"}: askConfigureExchange,
		{Permission: "write", Kind: "exchange"}:     askWrite,
		{Permission: "read", Kind: "queue"}:         askRead,
	}[Right{Permission: r.Permission, Kind: r.Kind}]
	if !ok {
		return Unclear, "cannot be asked for without doing it", nil
	}
	err = a.try(ctx, func(ch *amqp091.Channel) error { return ask(ch, r.Name) })
	reply, isReply := replyOf(err)
	switch {
	case err == nil:
		return Unclear, "the broker has refused nothing", nil
	case !isReply:
		return Unclear, "", a.explain("ask for "+r.String(), err)
	case reply.Code == amqp091.AccessRefused && !isExclusiveUse(reply):
		return Refused, tell(err), nil
	case reply.Code == amqp091.PreconditionFailed, reply.Code == amqp091.NotFound, isExclusiveUse(reply):
		return Granted, tell(err), nil
	}
	return Unclear, tell(err), nil
}

// wrongType is no value of the arguments that it is used for.
const wrongType = int32(0)

// askConfigureQueue could at most make a queue that goes with the connection.
func askConfigureQueue(ch *amqp091.Channel, name string) error {
	_, err := ch.QueueDeclare(name, false, true, true, false, amqp091.Table{"x-dead-letter-exchange": wrongType})
	return err
}

func askConfigureExchange(ch *amqp091.Channel, name string) error {
	return ch.ExchangeDeclare(name, amqp091.ExchangeDirect, false, true, false, false, amqp091.Table{"alternate-exchange": wrongType})
}

func askRead(ch *amqp091.Channel, name string) error {
	_, err := ch.Consume(name, "", false, false, false, false, amqp091.Table{"x-priority": "high"})
	return err
}

// askWrite waits until the channel is closed, or the message returned to us.
func askWrite(ch *amqp091.Channel, exchange string) error {
	if err := ch.Confirm(false); err != nil {
		return err
	}
	ended := ch.NotifyClose(make(chan *amqp091.Error, 1))
	returned := ch.NotifyReturn(make(chan amqp091.Return, 1))
	key := "magne.v1.nobody." + rand.Text()
	if err := ch.Publish(exchange, key, true, false, amqp091.Publishing{UserId: key}); err != nil {
		return err
	}
	select {
	case reason, told := <-ended:
		if !told || reason == nil {
			return amqp091.ErrClosed
		}
		return reason
	case <-returned: // this user may write, and under other names
		return &amqp091.Error{Code: amqp091.PreconditionFailed, Reason: "the message was taken and returned", Server: true}
	}
}
