package topology

import (
	"regexp"
	"slices"
	"strings"

	"github.com/magne-actors/magne-actors/broker/amqp"
)

// Permission is what RabbitMQ shall allow one kind of user: three regular
// expressions that names of exchanges and queues are compared with.
type Permission struct {
	Identity  string `json:"identity"` // deployer, worker, producer or operator
	Configure string `json:"configure"`
	Write     string `json:"write"`
	Read      string `json:"read"`
	For       string `json:"for"` // what such a user does
}

// ladderExit matches ladder.DeliverExchange.
const ladderExit = `magne\.v1\.deliver`

// nothing matches no name.
const nothing = "^$"

// Permissions returns the least that each identity needs for a topology. The
// default exchange, by which a retry returns to its queue, is amq.default in them.
//
// A worker needs nothing to configure with declare: passive, up to RabbitMQ 4.2. It may
// bind its queues to the end of the ladder: that is how it finds out that they are.
func Permissions(want []Object) []Permission {
	var exchanges, queues, dead, entries []string
	ladder := false
	for _, o := range want {
		switch {
		case strings.HasPrefix(o.Name, "magne.v1.delay.") || o.Exchange == "magne.v1.deliver":
			ladder = true
		case o.Kind == KindExchange:
			exchanges = append(exchanges, o.Name)
		case o.Kind == KindQueue && strings.HasPrefix(o.Name, amqp.DeadExchange+"."):
			dead = append(dead, o.Name)
		case o.Kind == KindQueue && !strings.HasPrefix(o.Name, "magne.v1."):
			queues = append(queues, o.Name)
		}
	}
	for _, name := range exchanges {
		if name != amqp.DeadExchange && !strings.HasPrefix(name, "magne.v1.") || name == EntryExchange {
			entries = append(entries, name)
		}
	}
	delay := map[bool][]string{true: {`magne\.v1\.delay\.[0-6]`}}[ladder]
	waiting := map[bool][]string{true: {`magne\.v1\.delay\.[0-6]\.[1-9a-f]`}}[ladder]
	exit, bound := map[bool][]string{true: {ladderExit}}[ladder], map[bool][]string{true: queues}[ladder]
	all := pattern([]string{`magne\.v1\..+`}, slices.Concat(own(exchanges), queues))
	return []Permission{
		{"deployer", all, all, all, "topology plan and apply; run with declare: create or match"},
		{"worker", nothing, pattern(delay, slices.Concat([]string{"amq.default", amqp.DeadExchange}, bound)), pattern(exit, queues), "run with declare: passive"},
		{"producer", nothing, pattern(delay, entries), nothing, "publish --exchange " + EntryExchange},
		{"operator", nothing, pattern(delay, []string{"amq.default", amqp.DeadExchange}), pattern(waiting, slices.Concat(queues, dead)), "dlq, queue peek and purge, delayed"},
	}
}

// own are the names that the pattern of ours does not match.
func own(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return strings.HasPrefix(n, "magne.v1.") })
}

// pattern matches what the patterns match, and the names.
func pattern(patterns, names []string) string {
	all := slices.Clone(patterns)
	for _, n := range names {
		if q := regexp.QuoteMeta(n); !slices.Contains(all, q) {
			all = append(all, q)
		}
	}
	if len(all) == 0 {
		return nothing
	}
	return "^(" + strings.Join(all, "|") + ")$"
}
