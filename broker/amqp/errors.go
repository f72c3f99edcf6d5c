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
		meaning = broker.ErrDenied
	}
	if meaning == nil {
		return fmt.Errorf("amqp: %s: %s", what, tell(err))
	}
	return fmt.Errorf("amqp: %s: %w: %s%s", what, meaning, tell(err), advice)
}
