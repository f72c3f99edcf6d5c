package deadletter

import (
	"fmt"
	"slices"
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// Reason is why a queue has no more use for a message.
type Reason string

// The reasons, as x-death names them.
const (
	Rejected      Reason = "rejected"
	Expired       Reason = "expired"
	MaxLen        Reason = "maxlen"
	DeliveryLimit Reason = "delivery_limit"
)

// Death is the end of a message in a queue.
type Death struct {
	Reason Reason
	Queue  string
	Time   time.Time // whole seconds of it are told

	Exchange string   // that the message had been published to
	Key      string   // that it had been published with
	More     []string // its further routing keys, from the headers CC and BCC
	Props    []byte   // wire.ContentHeader.Raw, without BCC
}

// Target is where a queue sends its dead letters.
type Target struct {
	Exchange string
	Key      *string // nil: that of the message
}

// Letter is a dead letter. Its body is that of the message.
type Letter struct {
	Exchange string
	Key      string
	More     []string // further routing keys
	Props    []byte   // wire.ContentHeader.Raw

	reason Reason
	deaths []any
}

const (
	deathHeader = "x-death"
	ccHeader    = "CC"
)

// New returns the dead letter of a message. The error says that the properties are
// not what a client could have sent, or that there is no room for another header:
// there is no letter then, and the message should be dropped.
func New(d Death, to Target) (*Letter, error) {
	props, err := wire.ParseProperties(d.Props)
	if err != nil {
		return nil, fmt.Errorf("deadletter: message in queue %q: %w", d.Queue, err)
	}
	l := &Letter{Exchange: to.Exchange, Key: d.Key, More: d.More, reason: d.Reason}
	if props.Headers == nil {
		props.Headers = wire.Table{}
	}
	l.deaths = mark(props.Headers, d.event(props))
	props.Present |= wire.PropHeaders
	// The letter is not to expire where it goes, whatever the reason.
	props.Expiration = ""
	props.Present &^= wire.PropExpiration
	if to.Key != nil {
		l.Key, l.More = *to.Key, nil
		delete(props.Headers, ccHeader)
	}
	l.Props, err = props.AppendRaw(nil)
	if err == nil {
		// There may be more fields now than can be parsed.
		_, err = wire.ViewProperties(l.Props)
	}
	if err != nil {
		return nil, fmt.Errorf("deadletter: header of a message in queue %q: %w", d.Queue, err)
	}
	return l, nil
}

// event returns the element of x-death for a first death.
func (d *Death) event(props *wire.Properties) wire.Table {
	keys := []any{d.Key}
	// Not More: keys of BCC are nobody's business.
	cc, _ := props.Headers[ccHeader].([]any)
	for _, key := range cc {
		if key, ok := key.(string); ok {
			keys = append(keys, key)
		}
	}
	e := wire.Table{
		"count":        int64(1),
		"reason":       string(d.Reason),
		"queue":        d.Queue,
		"time":         d.Time.Truncate(time.Second).UTC(),
		"exchange":     d.Exchange,
		"routing-keys": keys,
	}
	if props.Present&wire.PropExpiration != 0 {
		e["original-expiration"] = props.Expiration
	}
	return e
}

// mark sets x-death in headers and returns it, the latest death first.
func mark(headers wire.Table, e wire.Table) []any {
	had, ok := headers[deathHeader]
	deaths, valid := had.([]any)
	switch {
	case !ok:
		headers["x-first-death-reason"] = e["reason"]
		headers["x-first-death-queue"] = e["queue"]
		headers["x-first-death-exchange"] = e["exchange"]
		deaths = []any{e}
	case !valid:
		// A header of the client's making: RabbitMQ begins anew.
		deaths = []any{e}
	default:
		deaths = latest(grouped(deaths), e)
	}
	headers[deathHeader] = deaths
	return deaths
}

// latest puts the death first: the one of the same queue and reason, if there is
// one, with its count increased and all else as it was.
func latest(deaths []any, e wire.Table) []any {
	result := make([]any, 1, len(deaths)+1)
	result[0] = e
	for _, d := range deaths {
		t, ok := d.(wire.Table)
		if !ok || deathKey(t) != deathKey(e) {
			result = append(result, d)
			continue
		}
		n, _ := wire.Integer(t["count"])
		t["count"] = n + 1
		result[0] = t
	}
	return result
}

// grouped returns deaths with one element of each queue and reason. Two or more
// come out in the reverse of their order: so RabbitMQ has it.
func grouped(deaths []any) []any {
	var groups []any
	times := make(map[string]int64, len(deaths))
	for _, d := range deaths {
		t, ok := d.(wire.Table)
		if !ok {
			continue // of the client's making, too
		}
		key := deathKey(t)
		if times[key]++; times[key] == 1 {
			groups = append(groups, t)
		}
	}
	if len(deaths) == 1 {
		return groups
	}
	for _, d := range groups {
		t := d.(wire.Table)
		if _, ok := t["count"]; !ok {
			t["count"] = times[deathKey(t)]
		}
	}
	slices.Reverse(groups)
	return groups
}

// deathKey is the same for deaths in one queue for one reason.
func deathKey(t wire.Table) string {
	return wire.Term(t["queue"]) + " " + wire.Term(t["reason"])
}

// Cycle reports whether the letter must not go to a queue: it died there before,
// and went round since without a consumer having rejected it.
func (l *Letter) Cycle(queue string) bool {
	if l.reason == Rejected {
		return false
	}
	for _, d := range l.deaths {
		t, ok := d.(wire.Table)
		if !ok || t["reason"] == string(Rejected) {
			return false
		}
		if t["queue"] == queue {
			return true
		}
	}
	return false
}
