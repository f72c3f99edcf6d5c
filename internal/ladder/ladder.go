package ladder

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	// Unit is the step in which delays are counted.
	Unit = 125 * time.Millisecond
	// Max is the longest delay, 388 days.
	Max = (1<<(4*Levels) - 1) * Unit
	// MaxDelay is the longest delay that people may ask for: a leap year, which may be
	// as much longer as their clocks are wrong.
	MaxDelay = 366 * 24 * time.Hour
	// Levels is the number of digits of a delay, and of exchanges of the ladder.
	Levels = 7

	// HeaderETA is the header of a delayed message that says when it is due: RFC 3339
	// in UTC with milliseconds.
	HeaderETA = "x-magne-eta"
	// HeaderQueue is the header of a delayed message that names the queue it is for.
	HeaderQueue = "x-magne-queue"

	// ETAFormat is how HeaderETA is written, for [time.Time.Format] in UTC.
	ETAFormat = "2006-01-02T15:04:05.000Z07:00"
)

const (
	base     = 16
	maxUnits = 1<<(4*Levels) - 1
	maxKey   = 255 // bytes of an AMQP short string
)

// Route returns where to publish a message that shall arrive in queue after delay,
// rounded up to Unit. A delay of 0 or less arrives at once, one beyond Max after Max.
// The name of the queue must be [Routable].
func Route(delay time.Duration, queue string) (exchange, key string) {
	return route(units(delay), queue)
}

// RouteRetry returns where to publish a message that shall arrive in queue after
// RetryDelay(delay). It waits in one queue then, which is the cheapest.
func RouteRetry(delay time.Duration, queue string) (exchange, key string) {
	return route(oneDigit(units(delay)), queue)
}

// RetryDelay rounds a delay up to one digit, by less than its own length, and those
// beyond 15/16 of Max down to that.
func RetryDelay(delay time.Duration) time.Duration {
	return time.Duration(oneDigit(units(delay))) * Unit
}

// units returns the delay in units, rounded up.
func units(delay time.Duration) int {
	delay = min(max(delay, 0), Max)
	return int((delay + Unit - 1) / Unit)
}

// oneDigit rounds u up to a number with one digit that is not zero, or down to the
// largest one.
func oneDigit(u int) int {
	for scale := 1; ; scale *= base {
		digit := (u + scale - 1) / scale
		switch {
		case digit < base:
			return digit * scale
		case scale*base > maxUnits:
			return (base - 1) * scale
		}
	}
}

func route(u int, queue string) (exchange, key string) {
	var b strings.Builder
	level := 0
	for i := Levels - 1; i >= 0; i-- {
		digit := u >> (4 * i) % base
		if digit != 0 {
			level = max(level, i)
		}
		b.WriteString(strconv.FormatInt(int64(digit), base))
		b.WriteByte('.')
	}
	b.WriteString(queue)
	return DelayExchange(level), b.String()
}

// Parse takes a routing key of the ladder apart. ok is false when it is none.
func Parse(key string) (delay time.Duration, queue string, ok bool) {
	const digits = 2 * Levels
	if len(key) <= digits {
		return 0, "", false
	}
	u := 0
	for i := 0; i < digits; i += 2 {
		digit := strings.IndexByte("0123456789abcdef", key[i])
		if digit < 0 || key[i+1] != '.' {
			return 0, "", false
		}
		u = u*base + digit
	}
	return time.Duration(u) * Unit, key[digits:], true
}

// ErrName: a queue's name cannot be part of a routing key of the ladder.
var ErrName = errors.New("the queue's name does not fit a delay")

// Routable returns an error that wraps [ErrName] when messages for a queue of that
// name cannot be delayed: its name is compared word by word, where a * or a # would
// stand for other words.
func Routable(queue string) error {
	const longest = maxKey - 2*Levels
	if queue == "" {
		return fmt.Errorf("%w: it is empty", ErrName)
	}
	if len(queue) > longest {
		return fmt.Errorf("%w: %q has %d bytes, at most %d are possible", ErrName, queue[:longest]+"...", len(queue), longest)
	}
	for word := range strings.SplitSeq(queue, ".") {
		switch word {
		case "":
			return fmt.Errorf("%w: %q begins or ends with a dot or has two in a row", ErrName, queue)
		case "*", "#":
			return fmt.Errorf("%w: %q has the word %s, which stands for other words in a routing key", ErrName, queue, word)
		}
	}
	return nil
}
