package amqp

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/broker"
)

func TestSpread(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		credit := rapid.IntRange(1, maxLanes*maxPrefetch).Draw(t, "credit")
		span := rapid.IntRange(1, 100_000).Draw(t, "span")
		shares := spread(credit, span)
		sum, least, most := 0, credit, 0
		for _, n := range shares {
			sum, least, most = sum+n, min(least, n), max(most, n)
		}
		switch {
		case sum != credit:
			t.Errorf("the prefetches add up to %d", sum)
		case least < 1 || most > maxPrefetch || most-least > 1:
			t.Errorf("the prefetches are between %d and %d", least, most)
		case len(shares) > maxLanes:
			t.Errorf("%d channels", len(shares))
		case most > span && len(shares) < maxLanes:
			t.Errorf("%d on a channel, with %d channels", most, len(shares))
		case credit <= min(span, maxPrefetch) && len(shares) != 1:
			t.Errorf("a small window is on %d channels", len(shares))
		}
	})
}

func TestSupported(t *testing.T) {
	for _, c := range []struct {
		product, version string
		want             bool
	}{
		{"RabbitMQ", "3.9.29", false},
		{"RabbitMQ", "3.10.0", true},
		{"RabbitMQ", "3.10.8+deb", true},
		{"RabbitMQ", "4.0.1-rc.1", true},
		{"RabbitMQ", "10.0", true},
		{"RabbitMQ", "", false},
		{"RabbitMQ", "new", false},
		{"RabbitMQ", "2.99", false},
		{"other", "0.1", true},
	} {
		err := (Dialer{}).supported(amqp091.Table{"product": c.product, "version": c.version})
		if (err == nil) != c.want {
			t.Errorf("%s %q: got %v, want supported %v", c.product, c.version, err, c.want)
		}
	}
	if err := (Dialer{}).supported(nil); err != nil {
		t.Errorf("a server without properties: %v", err)
	}
}

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		reply amqp091.Error
		want  error
	}{
		{amqp091.Error{Code: 404, Server: true}, broker.ErrTopology},
		{amqp091.Error{Code: 406, Server: true}, broker.ErrTopology},
		{amqp091.Error{Code: 403, Server: true}, broker.ErrForbidden},
		{amqp091.Error{Code: 403, Server: true, Reason: "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use"}, nil},
		{amqp091.Error{Code: 405, Server: true}, nil},
		{amqp091.Error{Code: 404, Server: false}, nil},
	} {
		err := classify("declare", &c.reply)
		for _, meaning := range []error{broker.ErrTopology, broker.ErrForbidden} {
			if errors.Is(err, meaning) != (meaning == c.want) { //nolint:errorlint // the very value is compared
				t.Errorf("%+v: got %v, want %v", c.reply, err, c.want)
			}
		}
	}
}

func TestDeniedOnlyByTheBroker(t *testing.T) {
	for _, c := range []struct {
		reply amqp091.Error
		want  bool
	}{
		{amqp091.Error{Code: 403, Server: true, Reason: "ACCESS_REFUSED - Login was refused"}, true},
		{amqp091.Error{Code: 403, Server: false, Reason: "username or password not allowed"}, false},
		{amqp091.Error{Code: 530, Server: true, Reason: "NOT_ALLOWED - vhost x not found"}, true},
		{amqp091.Error{Code: 530, Server: true, Reason: "NOT_ALLOWED - access to vhost '/' refused for user 'guest': connection limit (1) is reached"}, false},
		{amqp091.Error{Code: 320, Server: true}, false},
	} {
		if got := isDenied(&c.reply); got != c.want {
			t.Errorf("%+v: got %v, want %v", c.reply, got, c.want)
		}
	}
}

// TestUnanswered: only a deadline is a reason to suspect the queue.
func TestUnanswered(t *testing.T) {
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	if err := unanswered(late, "consume", "q"); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "quorum_status q") {
		t.Errorf("got %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := unanswered(ended, "consume", "q"); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "quorum") {
		t.Errorf("got %v", err)
	}
}
