package amqp

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/testenv"
)

// TestEnded: what RabbitMQ 3.10 cannot be brought to say by a test.
func TestEnded(t *testing.T) {
	for _, c := range []struct {
		reply *amqp091.Error
		fault broker.Fault
	}{
		{nil, broker.FaultLost},
		{&amqp091.Error{Code: 504, Reason: "channel/connection is not open"}, broker.FaultLost},
		{&amqp091.Error{Code: 541, Reason: "INTERNAL_ERROR", Server: true}, broker.FaultChannelClosed},
		{&amqp091.Error{Code: 404, Reason: "NOT_FOUND - no queue 'q' in vhost '/'", Server: true}, broker.FaultChannelClosed},
		{&amqp091.Error{Code: 403, Reason: "ACCESS_REFUSED", Server: true}, broker.FaultForbidden},
		{&amqp091.Error{Code: 406, Reason: "PRECONDITION_FAILED - unknown delivery tag 7", Server: true}, broker.FaultUnknownTag},
		{&amqp091.Error{Code: 406, Reason: "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 3000 ms.", Server: true}, broker.FaultAckTimeout},
	} {
		err := ended("q", c.reply)
		if got := broker.FaultOf(err); got != c.fault {
			t.Errorf("%v: got %q, want %q", err, got, c.fault)
		}
		if c.reply == nil || !c.reply.Server {
			continue
		}
		if got := broker.ErrorCode(err); got != c.reply.Code {
			t.Errorf("%v: got code %d, want %d", err, got, c.reply.Code)
		}
		if !errors.Is(err, broker.ErrChannelClosed) || !strings.Contains(err.Error(), c.reply.Reason) {
			t.Errorf("got %v, want ErrChannelClosed and what the broker said", err)
		}
	}
}

// TestAckTimeout: what a broker up to 4.2 does to a channel with a delivery that is
// not settled in time.
func TestAckTimeout(t *testing.T) {
	n := testenv.Private(t, testenv.Options{Config: "consumer_timeout = 2000"})
	if _, err := n.Ctl(t.Context(), "eval", "application:set_env(rabbit, channel_tick_interval, 500)."); err != nil {
		t.Fatal(err)
	}
	s, c := subscribed(t, n.URL)
	wantEnd(t, c, broker.FaultAckTimeout, 406)
	if err := s.Err(); err != nil {
		t.Errorf("the session has died with the channel: %v", err)
	}
}

// TestUnknownTag settles behind the back of the settler, which would not do it.
func TestUnknownTag(t *testing.T) {
	s, c := subscribed(t, testenv.RabbitMQ(t))
	if err := c.(*consumer).lanes[0].ch.Ack(77, false); err != nil {
		t.Fatal(err)
	}
	wantEnd(t, c, broker.FaultUnknownTag, 406)
	if err := s.Err(); err != nil {
		t.Errorf("the session has died with the channel: %v", err)
	}
}

// TestQueueInUse: 405, as of the exclusive queue of a connection that is dead and
// not noticed yet.
func TestQueueInUse(t *testing.T) {
	url, name := testenv.RabbitMQ(t), testenv.Name(t)
	other, err := amqp091.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	ch, err := other.Channel()
	if err != nil {
		t.Fatal(err)
	}
	const exclusive = true
	if _, err := ch.QueueDeclare(name, false, false, exclusive, false, nil); err != nil {
		t.Fatal(err)
	}
	s := open1(t, url)
	_, err = s.Consume(t.Context(), broker.Source{Queue: broker.Queue{Name: name}, Credit: 1})
	if broker.FaultOf(err) != broker.FaultChannelClosed || broker.ErrorCode(err) != 405 {
		t.Errorf("got %v, want the broker's 405", err)
	}
}

func open1(t *testing.T, url string) broker.Session {
	t.Helper()
	s, err := Dialer{URL: url}.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// t's context has ended.
		if err := s.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return s
}

// subscribed returns a session and its consumer, which has one delivery.
func subscribed(t *testing.T, url string) (broker.Session, broker.Consumer) {
	t.Helper()
	s, name := open1(t, url), testenv.Name(t)
	c, err := s.Consume(t.Context(), broker.Source{Queue: broker.Queue{Name: name}, Credit: 10})
	if err != nil {
		t.Fatal(err)
	}
	if err := broker.PublishAndWait(t.Context(), s, &broker.Publication{RoutingKey: name}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.Deliveries():
	case <-time.After(time.Minute):
		t.Fatal("no delivery")
	}
	return s, c
}

func wantEnd(t *testing.T, c broker.Consumer, fault broker.Fault, code int) {
	t.Helper()
	select {
	case <-c.Done():
	case <-time.After(time.Minute):
		t.Fatal("the consumer goes on")
	}
	if err := c.Err(); broker.FaultOf(err) != fault || broker.ErrorCode(err) != code {
		t.Errorf("got %v, want %s with %d", err, fault, code)
	}
}
