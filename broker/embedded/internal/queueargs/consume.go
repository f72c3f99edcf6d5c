package queueargs

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/routing"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// Consumer is what the arguments of basic.consume mean.
type Consumer struct {
	Priority int64 // higher ones get messages first
}

// Consume checks the arguments of basic.consume on a queue of the type.
func Consume(queueName, queueType string, args wire.Table) (Consumer, error) {
	k := classic
	if queueType == Quorum {
		k = quorum
	}
	d := &Declaration{Name: queueName, Args: args}
	checks := []check{{"x-priority", anyInteger}}
	if k == classic {
		checks = append(checks, check{"x-cancel-on-ha-failover", boolean})
	}
	if err := checkArgs(d, checks); err != nil {
		return Consumer{}, err
	}
	for _, name := range slices.Sorted(maps.Keys(args)) {
		if knownConsumer[name] && !k.consumer[name] {
			return Consumer{}, refuse("invalid arg '%s' for %s of queue type %s",
				name, routing.QueueText(queueName), k.module)
		}
	}
	n, _ := wire.Integer(args["x-priority"])
	return Consumer{Priority: n}, nil
}

// Expiration reads the property expiration of a message, a number of milliseconds in
// decimal digits.
func Expiration(s []byte) (time.Duration, error) {
	digits := s
	if len(s) > 0 && (s[0] == '+' || s[0] == '-') {
		digits = s[1:]
	}
	n := 0
	for n < len(digits) && '0' <= digits[n] && digits[n] <= '9' {
		n++
	}
	if n == 0 {
		return 0, expirationError(s, "no_integer")
	}
	sign := s[:len(s)-len(digits)]
	if n < len(digits) {
		return 0, expirationError(s, "{leftover_string,"+quote(string(digits[n:]))+"}")
	}
	number := string(slices.Concat(sign, digits))
	ms, err := strconv.ParseInt(number, 10, 64)
	switch {
	case ms < 0:
		return 0, expirationError(s, "{value_negative,"+trimNumber(number)+"}")
	case err != nil || ms > maxExpiry:
		return 0, expirationError(s, "{value_too_large,"+trimNumber(number)+"}")
	}
	return time.Duration(ms) * time.Millisecond, nil
}

func expirationError(s []byte, wrong string) error {
	return refuse("invalid expiration '%s': %s", s, wrong)
}

// trimNumber writes a number as Erlang does.
func trimNumber(s string) string {
	digits := strings.TrimLeft(s, "+-0")
	if s[0] == '-' {
		return "-" + digits
	}
	return digits
}
