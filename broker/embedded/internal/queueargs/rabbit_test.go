package queueargs_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/queueargs"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
	"github.com/magne-actors/magne-actors/internal/testenv"
)

// node is a real broker, asked by one connection.
type node struct {
	conn   *amqp.Connection
	ch     *amqp.Channel
	closed chan *amqp.Error
}

func connect(t testing.TB) *node {
	t.Helper()
	conn, err := amqp.Dial(testenv.RabbitMQ(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &node{conn: conn}
}

// do runs f on a channel and returns the text of the error that closed it.
func (n *node) do(t interface{ Fatal(...any) }, f func(*amqp.Channel) error) string {
	if n.ch == nil || n.ch.IsClosed() {
		ch, err := n.conn.Channel()
		if err != nil {
			t.Fatal(err)
		}
		n.ch, n.closed = ch, ch.NotifyClose(make(chan *amqp.Error, 1))
	}
	err := f(n.ch)
	if errors.Is(err, amqp.ErrClosed) {
		return (<-n.closed).Reason // the answer to what came before
	}
	if e, ok := errors.AsType[*amqp.Error](err); ok {
		return e.Reason
	}
	if err != nil {
		t.Fatal(err)
	}
	return ""
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// wireTable gives a table the types that it has at the other end.
func wireTable(a amqp.Table) wire.Table {
	t := wire.Table{}
	for name, v := range a {
		switch v := v.(type) {
		case byte:
			t[name] = v
		case amqp.Table:
			t[name] = wireTable(v)
		default:
			t[name] = v
		}
	}
	return t
}

func value() *rapid.Generator[any] {
	return rapid.SampledFrom([]any{
		nil, true, false, int8(-1), byte(3), int16(5), int32(0), int32(1), int32(2), int32(255), int32(256), int64(-7),
		int64(315360000000), int64(315360000001), 1.5, "", "classic", "quorum", "lazy", "default", "drop-head",
		"reject-publish", "reject-publish-dlx", "at-most-once", "client-local", "balanced", "nonsense",
		[]byte{1},
		amqp.Table{},
		[]any{int32(1)},
	})
}

var names = []string{
	"x-expires", "x-message-ttl", "x-max-length", "x-max-length-bytes", "x-overflow", "x-max-priority",
	"x-dead-letter-exchange", "x-dead-letter-routing-key", "x-dead-letter-strategy", "x-delivery-limit",
	"x-single-active-consumer", "x-queue-mode", "x-queue-version", "x-quorum-initial-group-size",
	"x-queue-leader-locator", "x-max-in-memory-length", "x-max-age", "x-something",
}

// likely is a value that is right for the name, more often than not.
func likely(name string) *rapid.Generator[any] {
	right := map[string]any{
		"x-overflow": "drop-head", "x-dead-letter-exchange": "dlx", "x-dead-letter-routing-key": "k",
		"x-dead-letter-strategy": "at-most-once", "x-single-active-consumer": true, "x-queue-mode": "lazy",
		"x-queue-leader-locator": "balanced",
	}
	if name == "x-expires" { // not so soon that the queue is gone when it is declared again
		return rapid.SampledFrom([]any{int32(3_600_000), int64(3_600_000), int32(0), int32(-1), "1", true, []byte{1}})
	}
	v, ok := right[name]
	if !ok {
		v = int32(1)
	}
	return rapid.OneOf(rapid.Just(v), rapid.Just(v), value())
}

func declaration(t *rapid.T, name string) (queueargs.Declaration, amqp.Table) {
	args := amqp.Table{}
	if kind := rapid.SampledFrom([]any{"classic", "quorum", "quorum", "stream?", int32(1), nil, nil, nil}).Draw(t, "type"); kind != nil {
		args["x-queue-type"] = kind
	}
	for range rapid.IntRange(0, 3).Draw(t, "arguments") {
		arg := rapid.SampledFrom(names).Draw(t, "name")
		args[arg] = likely(arg).Draw(t, arg)
	}
	mostly := rapid.SampledFrom([]bool{true, true, true, false})
	return queueargs.Declaration{
		Name: name, Durable: mostly.Draw(t, "durable"),
		Exclusive: !mostly.Draw(t, "exclusive"), AutoDelete: !mostly.Draw(t, "auto-delete"), Args: wireTable(args),
	}, args
}

// TestDeclareAsRabbitMQ declares queues twice, here and there.
func TestDeclareAsRabbitMQ(t *testing.T) {
	n := connect(t)
	i := 0
	rapid.Check(t, func(t *rapid.T) {
		i++
		name := fmt.Sprintf("queueargs.%d", i)
		d, args := declaration(t, name)
		declare := func(d queueargs.Declaration, args amqp.Table) string {
			return n.do(t, func(ch *amqp.Channel) error {
				_, err := ch.QueueDeclare(name, d.Durable, d.AutoDelete, d.Exclusive, false, args)
				return err
			})
		}
		_, err := queueargs.Declare(d)
		if got, want := text(err), declare(d, args); got != want {
			// Of several arguments that are wrong for the type the first counts, in the
			// order in which they were sent: the client's, which is random.
			if !strings.Contains(got, "of queue type") || !strings.Contains(want, "of queue type") {
				t.Fatalf("%v:\ngot  %s\nwant %s", d, got, want)
			}
			return
		}
		if err != nil {
			return
		}
		again, args2 := declaration(t, name)
		if rapid.Bool().Draw(t, "alike") {
			args2 = maps.Clone(args)
			again = d
			if rapid.Bool().Draw(t, "but for one") {
				arg := rapid.SampledFrom(names).Draw(t, "name")
				args2[arg] = likely(arg).Draw(t, arg)
				again.Args = wireTable(args2)
			}
		}
		if got, want := text(queueargs.Equivalent(d, again, true)), declare(again, args2); got != want {
			t.Fatalf("%v\nthen %v:\ngot  %s\nwant %s", d, again, got, want)
		}
		n.do(t, func(ch *amqp.Channel) error { _, err := ch.QueueDelete(name, false, false, false); return err })
	})
}

func TestConsumeAsRabbitMQ(t *testing.T) {
	n := connect(t)
	for _, kind := range []string{queueargs.Classic, queueargs.Quorum} {
		queue := testenv.Name(t)
		n.do(t, func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclare(queue, true, false, false, false, amqp.Table{"x-queue-type": kind})
			return err
		})
		rapid.Check(t, func(t *rapid.T) {
			args := amqp.Table{}
			name := rapid.SampledFrom([]string{"x-priority", "x-cancel-on-ha-failover", "x-stream-offset", "x-other"}).Draw(t, "name")
			args[name] = value().Draw(t, "value")
			_, err := queueargs.Consume(queue, kind, wireTable(args))
			want := n.do(t, func(ch *amqp.Channel) error {
				if _, err := ch.Consume(queue, "c", false, false, false, false, args); err != nil {
					return err
				}
				return ch.Cancel("c", false)
			})
			if got := text(err); got != want {
				t.Fatalf("%v:\ngot  %s\nwant %s", args, got, want)
			}
		})
		n.do(t, func(ch *amqp.Channel) error { _, err := ch.QueueDelete(queue, false, false, false); return err })
	}
}

func TestExpirationAsRabbitMQ(t *testing.T) {
	n := connect(t)
	check := func(t interface {
		Fatalf(string, ...any)
		Fatal(...any)
	}, s string,
	) {
		_, err := queueargs.Expiration([]byte(s))
		want := n.do(t, func(ch *amqp.Channel) error {
			if err := ch.Publish("", "nowhere", false, false, amqp.Publishing{Expiration: s}); err != nil {
				return err
			}
			_, err := ch.QueueDeclarePassive("amq.fanout.no", false, false, false, false, nil)
			return err
		})
		if want == "NOT_FOUND - no queue 'amq.fanout.no' in vhost '/'" {
			want = ""
		}
		if got := text(err); got != want {
			t.Fatalf("%q:\ngot  %s\nwant %s", s, got, want)
		}
	}
	for _, s := range []string{
		"0", "1", "+5", "-5", "-0", "00012", "-007", "315360000000", "315360000001", "9999999999999",
		"-9999999999999", "abc", "1x", "-", "+", " 5", "5 ", "1.5", "--5",
	} {
		check(t, s)
	}
	rapid.Check(t, func(t *rapid.T) { check(t, rapid.StringMatching(`[-+]?[0-9a-z .]{1,4}`).Draw(t, "s")) })
}
