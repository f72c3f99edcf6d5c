package amqp

import (
	"errors"
	"fmt"
	"strings"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker"
)

// replyOf returns the broker's reply in err. A reply that amqp091-go made up
// (Server false) does not count: it reports a connection that ended during the
// handshake as "403 username or password not allowed".
func replyOf(err error) (reply *amqp091.Error, ok bool) {
	reply, ok = errors.AsType[*amqp091.Error](err)
	return reply, ok && reply.Server
}

// tell renders err for people: the broker's own text, or what went wrong here.
func tell(err error) string {
	if reply, ok := replyOf(err); ok {
		return fmt.Sprintf("%d %s", reply.Code, reply.Reason)
	}
	if reply, ok := errors.AsType[*amqp091.Error](err); ok {
		return reply.Reason
	}
	return err.Error()
}

// isDenied says whether the broker refused the login or the virtual host for a
// reason that lasts. RabbitMQ also answers 530 when a limit of connections is
// reached, which passes.
func isDenied(err error) bool {
	reply, ok := replyOf(err)
	if !ok {
		return false
	}
	switch reply.Code {
	case amqp091.AccessRefused:
		return true
	case amqp091.NotAllowed:
		return !strings.Contains(reply.Reason, "limit")
	}
	return false
}

// isExclusiveUse says whether err only means that somebody else is using the
// queue alone at the moment.
func isExclusiveUse(reply *amqp091.Error) bool {
	return reply.Code == amqp091.ResourceLocked ||
		reply.Code == amqp091.AccessRefused && strings.Contains(reply.Reason, "exclusive")
}

// classify gives an error of a declaration or of basic.consume its meaning: what
// names the operation and its object. The broker's text is always shown.
func classify(what string, err error) error {
	reply, ok := replyOf(err)
	if !ok {
		return fmt.Errorf("amqp: %s: %w", what, err)
	}
	meaning, advice := error(nil), ""
	switch {
	case isExclusiveUse(reply):
	case reply.Code == amqp091.NotFound:
		meaning, advice = broker.ErrTopology, "; create it, or use declare: create"
	case reply.Code == amqp091.PreconditionFailed:
		meaning, advice = broker.ErrTopology, "; it exists with other arguments: use declare: passive to take it as it is, or delete it"
	case reply.Code == amqp091.AccessRefused:
		meaning, advice = broker.ErrForbidden, lacks(what)
	}
	// Whatever the broker refuses, it closes the channel for it.
	if meaning == nil {
		return &meant{fmt.Errorf("amqp: %s: %w", what, replied(reply)), broker.ErrChannelClosed}
	}
	return &meant{fmt.Errorf("amqp: %s: %w: %w%s", what, meaning, replied(reply), advice), broker.ErrChannelClosed}
}

// lacks names the permission that an operation takes, for whom the broker has
// refused it. RabbitMQ up to 3.x says only whose name does not match.
func lacks(what string) string {
	verb, _, _ := strings.Cut(what, " ")
	permission := ""
	switch verb {
	case "consume", "peek", "take", "purge", "read":
		permission = "read"
	case "declare", "delete", "look", "check":
		permission = "configure"
	case "publish", "write":
		permission = "write"
	case "bind":
		permission = "write (on what is bound) and read (on the exchange)"
	default:
		return ""
	}
	return "; the user needs the permission " + permission + " for that name: `magne-actors topology permissions` prints what each kind of user needs"
}

// replied is a reply of the broker without amqp091-go's type.
func replied(reply *amqp091.Error) *broker.ReplyError {
	return &broker.ReplyError{Code: reply.Code, Text: reply.Reason}
}

// ended gives the end of a consumer's channel its meaning; reply is nil when
// nobody has said why. The texts are those of rabbit_channel.erl.
func ended(queue string, reply *amqp091.Error) error {
	if reply == nil {
		return fmt.Errorf("amqp: consume %q: channel closed", queue)
	}
	if !reply.Server {
		return fmt.Errorf("amqp: consume %q: channel closed: %s", queue, tell(reply))
	}
	err := fmt.Errorf("amqp: consume %q: %w: %w", queue, broker.ErrChannelClosed, replied(reply))
	var meaning error
	switch {
	case reply.Code == amqp091.PreconditionFailed && strings.Contains(reply.Reason, "delivery acknowledgement on channel"):
		meaning = broker.ErrAckTimeout
	case reply.Code == amqp091.PreconditionFailed && strings.Contains(reply.Reason, "unknown delivery tag"):
		meaning = broker.ErrUnknownTag
	default:
		return err
	}
	return &meant{err, meaning}
}

// meant is an error with a meaning that its text has already.
type meant struct {
	error
	meaning error
}

func (e *meant) Unwrap() []error { return []error{e.error, e.meaning} }
