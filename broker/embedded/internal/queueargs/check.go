package queueargs

import (
	"math"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/routing"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// check is of the value of one argument. It returns what is wrong as RabbitMQ
// prints the Erlang term, "{value_negative,-1}", or "".
type check struct {
	name  string
	wrong func(v any, args wire.Table) string
}

// checksOf returns the checks of a queue's arguments, in RabbitMQ's order.
func checksOf(k *kind) []check {
	var checks []check
	for _, c := range []check{
		{"x-expires", expires},
		{"x-message-ttl", ttl},
		{"x-dead-letter-exchange", anyString},
		{"x-dead-letter-routing-key", deadLetterKey},
		{"x-dead-letter-strategy", oneOf("invalid_dlx_strategy", "at-most-once", "at-least-once")},
		{"x-max-length", notNegative},
		{"x-max-length-bytes", notNegative},
		{"x-max-in-memory-length", notNegative},
		{"x-max-in-memory-bytes", notNegative},
		{"x-max-priority", maxPriority},
		{"x-overflow", oneOf("invalid_overflow", "drop-head", "reject-publish", "reject-publish-dlx")},
		{"x-queue-mode", queueMode},
		{"x-queue-version", queueVersion},
		{"x-single-active-consumer", boolean},
		{"x-quorum-initial-group-size", groupSize},
		{"x-queue-leader-locator", oneOf("invalid_queue_locator_arg",
			"client-local", "balanced", "random", "least-leaders")},
	} {
		if k.args[c.name] {
			checks = append(checks, c)
		}
	}
	return checks
}

func checkArgs(d *Declaration, checks []check) error {
	for _, c := range checks {
		v, ok := d.Args[c.name]
		if !ok {
			continue
		}
		if wrong := c.wrong(v, d.Args); wrong != "" {
			return refuse("invalid arg '%s' for %s: %s", c.name, routing.QueueText(d.Name), wrong)
		}
	}
	return nil
}

func term(name string, v any) string { return "{" + name + "," + wire.Term(v) + "}" }

func unacceptable(v any) string { return "{unacceptable_type," + wire.TypeName(v) + "}" }

// quote is for the errors that RabbitMQ has formatted before: it prints the text as
// an Erlang string.
func quote(text string) string { return `"` + text + `"` }

// ofInteger returns a check of an integer's value.
func ofInteger(wrong func(n int64) string) func(any, wire.Table) string {
	return func(v any, _ wire.Table) string {
		n, ok := wire.Integer(v)
		if !ok {
			return quote("expected integer, got " + wire.TypeName(v))
		}
		return wrong(n)
	}
}

func negative(n int64) string {
	if n < 0 {
		return term("value_negative", n)
	}
	return ""
}

// maxExpiry is ten years.
const maxExpiry = 315_360_000_000

func tooLong(n int64) string {
	if n > maxExpiry {
		return term("value_too_large", n)
	}
	return negative(n)
}

func notZero(n int64, then func(int64) string) string {
	if n == 0 {
		return term("value_zero", n)
	}
	return then(n)
}

func anyInteger(v any, args wire.Table) string {
	return ofInteger(func(int64) string { return "" })(v, args)
}

func notNegative(v any, args wire.Table) string { return ofInteger(negative)(v, args) }

func ttl(v any, args wire.Table) string { return ofInteger(tooLong)(v, args) }

func expires(v any, args wire.Table) string {
	return ofInteger(func(n int64) string { return notZero(n, tooLong) })(v, args)
}

func groupSize(v any, args wire.Table) string {
	return ofInteger(func(n int64) string { return notZero(n, negative) })(v, args)
}

func maxPriority(v any, args wire.Table) string {
	return ofInteger(func(n int64) string {
		if n > math.MaxUint8 {
			return term("max_value_exceeded", n)
		}
		return negative(n)
	})(v, args)
}

func queueVersion(v any, args wire.Table) string {
	return ofInteger(func(n int64) string {
		if n == 0 || n > 2 {
			return quote("unsupported queue version '" + wire.Term(n) + "'")
		}
		return negative(n)
	})(v, args)
}

func boolean(v any, _ wire.Table) string {
	if _, ok := v.(bool); !ok {
		return unacceptable(v)
	}
	return ""
}

func anyString(v any, _ wire.Table) string {
	if _, ok := v.(string); !ok {
		return unacceptable(v)
	}
	return ""
}

func deadLetterKey(v any, args wire.Table) string {
	if wrong := anyString(v, args); wrong != "" {
		return wrong
	}
	if _, ok := args["x-dead-letter-exchange"]; !ok {
		return "routing_key_but_no_dlx_defined"
	}
	return ""
}

// oneOf returns a check that a value is one of some strings.
func oneOf(wrong string, values ...string) func(any, wire.Table) string {
	allowed := set(values)
	return func(v any, _ wire.Table) string {
		s, ok := v.(string)
		switch {
		case !ok:
			return unacceptable(v)
		case !allowed[s]:
			return wrong
		}
		return ""
	}
}

func queueMode(v any, args wire.Table) string {
	s, _ := v.(string)
	return oneOf(quote("unsupported queue mode '"+s+"'"), "default", "lazy")(v, args)
}

func queueType(v any, args wire.Table) string {
	s, _ := v.(string)
	return oneOf(quote("unsupported queue type '"+s+"'"), Classic, Quorum)(v, args)
}
