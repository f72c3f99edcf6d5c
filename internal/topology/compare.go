package topology

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/internal/ladder"
)

// State is what a plan says of an object.
type State string

const (
	// Create: it is missing, and apply makes it.
	Create State = "create"
	// Same: it is as it should be, and apply leaves it alone.
	Same State = "same"
	// Differs: it exists with other arguments. Declaring it fails with 406, and apply
	// does nothing as long as that is so.
	Differs State = "differs"
	// Accepted: it exists with other arguments, which declare: passive allows.
	Accepted State = "accepted"
	// Forbidden: it is missing, and this user may not make it.
	Forbidden State = "forbidden"
	// Unknown: nobody could tell. AMQP lists no bindings; apply makes them again,
	// which changes nothing where they exist.
	Unknown State = "unknown"
)

// Facts are what is known of a broker.
type Facts struct {
	// Exchanges and Queues are what the broker has said of those that are wanted.
	Exchanges, Queues map[string]amqp.Seen
	// Refused are the objects that this user may not make, with the broker's words,
	// by kind and name as in "queue work".
	Refused map[string]string
	// Listed is what somebody has listed: nil when there was nobody to ask.
	Listed *Listed
}

// Listed is what the management API or the embedded broker lists.
type Listed struct {
	Objects []Object
	// Bindings: they are among Objects.
	Bindings bool
}

// Difference is a property that is not as it should be.
type Difference struct {
	Property string `json:"property"`
	Want     any    `json:"want"` // nil: not set
	Have     any    `json:"have"` // nil: not set
}

// Change is an object with what the plan says of it.
type Change struct {
	Object
	State State `json:"state"`
	// Why are the broker's own words, or ours.
	Why         string       `json:"why,omitempty"`
	Differences []Difference `json:"differences,omitempty"`
	// Do is what a person can do about it.
	Do string `json:"do,omitempty"`
	// Ready and Consumers are those of a queue that exists.
	Ready     *int `json:"ready,omitempty"`
	Consumers *int `json:"consumers,omitempty"`
}

// Plan is what apply would do.
type Plan struct {
	Changes []Change `json:"changes"`
}

// Count returns how many changes have the state.
func (p *Plan) Count(s State) int {
	n := 0
	for i := range p.Changes {
		if p.Changes[i].State == s {
			n++
		}
	}
	return n
}

// Blocked reports whether apply would do nothing, since something would be refused.
func (p *Plan) Blocked() bool { return p.Count(Differs)+p.Count(Forbidden) > 0 }

// Compare makes a plan.
func Compare(want []Object, f Facts) Plan {
	listed := map[string]*Object{}
	if f.Listed != nil {
		for i := range f.Listed.Objects {
			listed[f.Listed.Objects[i].id()] = &f.Listed.Objects[i]
		}
	}
	plan := Plan{Changes: make([]Change, 0, len(want))}
	for _, o := range want {
		have := listed[o.id()]
		var c Change
		switch o.Kind {
		case KindBinding:
			c = binding(o, have != nil, f.Listed != nil && f.Listed.Bindings)
		case KindExchange:
			c = existing(o, f.Exchanges[o.Name], have)
		default:
			seen := f.Queues[o.Name]
			c = existing(o, seen, have)
			if seen.Exists {
				c.Ready, c.Consumers = &seen.Ready, &seen.Consumers
			}
		}
		if words, refused := f.Refused[o.id()]; refused && c.State == Create {
			c.State, c.Why = Forbidden, words
			c.Do = fmt.Sprintf("apply it as a user whose configure permission matches %q: `magne-actors topology permissions` prints the commands", o.Name)
		}
		plan.Changes = append(plan.Changes, c)
	}
	plan.follow()
	return plan
}

// follow: a binding of something that is made by this plan is made, too.
func (p *Plan) follow() {
	made := map[string]bool{}
	for _, c := range p.Changes {
		if c.State == Create || c.State == Forbidden {
			made[c.id()] = true
		}
	}
	for i := range p.Changes {
		c := &p.Changes[i]
		from, to := Object{Kind: KindExchange, Name: c.Exchange}, Object{Kind: KindQueue, Name: c.Name}
		if c.ToExchange {
			to.Kind = KindExchange
		}
		if c.Kind == KindBinding && c.State == Unknown && (made[from.id()] || made[to.id()]) {
			c.State, c.Why, c.Do = Create, "", ""
		}
	}
}

func binding(o Object, exists, known bool) Change {
	switch {
	case exists:
		return Change{Object: o, State: Same}
	case known && o.IsExit():
		return Change{Object: o, State: Create, Why: fmt.Sprintf("without it what waits on the broker for queue %s, a retry or a delay, ends in %s", o.Name, ladder.UndeliveredQueue)}
	case known:
		return Change{Object: o, State: Create}
	}
	return Change{
		Object: o, State: Unknown, Why: "AMQP lists no bindings, and no management API has told them",
		Do: "`magne-actors topology apply` makes it again, which changes nothing where it exists; broker.management or --management names the API",
	}
}

// existing judges an exchange or a queue; have is what was listed of it.
func existing(o Object, seen amqp.Seen, have *Object) Change {
	c := Change{Object: o, Why: seen.Words}
	if have != nil {
		c.Differences = differences(&o, have)
	}
	switch seen.Presence {
	case amqp.Missing:
		c.State, c.Why = Create, ""
	case amqp.Same:
		c.State, c.Why = Same, ""
	case amqp.Differs:
		c.State = Differs
	case amqp.Hidden:
		c.State = Unknown
		c.Do = "look as a user whose configure permission matches its name, or name the management API with broker.management"
		if have != nil && len(c.Differences) > 0 {
			c.State = Differs
		} else if have != nil {
			c.State, c.Why, c.Do = Same, "", ""
		}
	default:
		c.State, c.Why = Unknown, "the broker was not asked"
	}
	if c.State == Differs && o.AsItIs {
		c.State = Accepted
	}
	if c.State == Differs {
		c.Do = remedy(&o)
	}
	return c
}

// differences lists what is not equal. Numbers of JSON and of Go are compared by
// value.
func differences(want, have *Object) []Difference {
	var all []Difference
	note := func(property string, w, h any) {
		if !equal(w, h) {
			all = append(all, Difference{Property: property, Want: w, Have: h})
		}
	}
	if want.Kind == KindExchange {
		note("type", want.Type, have.Type)
	}
	note("durable", want.Durable, have.Durable)
	names := slices.Sorted(maps.Keys(want.Args))
	for name := range maps.Keys(have.Args) {
		if _, both := want.Args[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if name == "x-queue-type" && kind(want.Args) == kind(have.Args) {
			continue // the API shows it also where nobody has set it
		}
		note(name, want.Args[name], have.Args[name])
	}
	return all
}

// kind is the type of a queue: classic unless it says otherwise.
func kind(args map[string]any) any {
	if k, set := args["x-queue-type"]; set {
		return k
	}
	return "classic"
}

// equal compares as JSON does: 100 is 100, whatever its type.
func equal(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// remedy says what to do about a queue or an exchange that is another one.
func remedy(o *Object) string {
	if o.Kind == KindExchange {
		return fmt.Sprintf("an exchange cannot be changed: delete %q when nobody publishes to it, and apply again", o.Name)
	}
	if !strings.HasPrefix(o.Name, "magne.v1.") && len(o.Pools) > 0 {
		own := "pools." + o.Pools[0]
		return fmt.Sprintf("arguments of a queue cannot be changed. Take it as it is (%s.declare: passive); or give the pool a new one (%s.queue, for example %s.v2), "+
			"let a pool with declare: passive empty the old one, and delete it (magne-actors queue delete %s)", own, own, o.Name, o.Name)
	}
	return fmt.Sprintf("somebody else has declared it: delete it when it is empty (magne-actors queue delete %s), and apply again", o.Name)
}
