package topology

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/config"
	"github.com/magne-actors/magne-actors/internal/ladder"
	"github.com/magne-actors/magne-actors/task/codec"
)

// EntryExchange is where producers publish that may not use the default exchange,
// which leads to every queue: a direct exchange, whose routing key is the name of a
// pool's queue.
const EntryExchange = "magne.v1.x"

// Kind is what an Object is.
type Kind string

// The kinds, in the order in which they are declared.
const (
	KindExchange Kind = "exchange"
	KindQueue    Kind = "queue"
	KindBinding  Kind = "binding"
)

// Object is one exchange, queue or binding.
type Object struct {
	Kind Kind `json:"kind"`
	// Name is that of the exchange or queue; of a binding it is what it leads to.
	Name string `json:"name"`
	// Type is direct, topic, fanout or headers, of an exchange only.
	Type    string         `json:"type,omitempty"`
	Durable bool           `json:"durable,omitempty"`
	Args    map[string]any `json:"arguments,omitempty"`

	// Exchange and Key are those of a binding, and ToExchange says that it leads to
	// another exchange.
	Exchange   string `json:"exchange,omitempty"`
	Key        string `json:"key,omitempty"`
	ToExchange bool   `json:"to_exchange,omitempty"`

	// Pools are those that want it, by name.
	Pools []string `json:"pools,omitempty"`
	// AsItIs: all these pools have declare: passive and take it with whatever
	// arguments.
	AsItIs bool `json:"as_it_is,omitempty"`
}

// id is equal for objects that are one for the broker.
func (o *Object) id() string {
	if o.Kind == KindBinding {
		return fmt.Sprintf("binding %q %q %q %v", o.Exchange, o.Key, o.Name, o.ToExchange)
	}
	return string(o.Kind) + " " + o.Name
}

// Binding is the object as a broker takes it.
func (o *Object) Binding() broker.Binding {
	b := broker.Binding{Exchange: o.Exchange, Key: o.Key, Args: o.Args}
	if o.ToExchange {
		b.ToExchange = o.Name
	} else {
		b.Queue = o.Name
	}
	return b
}

// IsExit reports whether the object leads what waited on the ladder into a queue.
func (o *Object) IsExit() bool {
	return o.Kind == KindBinding && o.Exchange == ladder.DeliverExchange
}

// Options say what of a configuration is meant.
type Options struct {
	// Pools are the names of those that are meant; empty stands for all.
	Pools []string
	// Delays says whether the ladder of package ladder is meant.
	Delays Delays
}

// Delays says whether the ladder of queues for delays is wanted.
type Delays uint8

const (
	// DelaysAsNeeded: where a pool waits on the broker before a retry.
	DelaysAsNeeded Delays = iota
	// DelaysAlways: for what is published with a delay, too.
	DelaysAlways
	// DelaysNever leaves it out.
	DelaysNever
)

// Of returns what the pools of a configuration want: exchanges, then queues, then
// bindings, each once. It is what `run` declares with declare: create, and beyond
// that the [EntryExchange]. The error names a pool that does not exist, a queue that
// two pools want differently, or one that the ladder cannot lead to.
func Of(f *config.File, o Options) ([]Object, error) {
	for _, name := range o.Pools {
		if !slices.ContainsFunc(f.Pools, func(p config.Pool) bool { return p.Name == name }) {
			return nil, fmt.Errorf("topology: no pool is called %q", name)
		}
	}
	var w wishes
	for i := range f.Pools {
		p := &f.Pools[i]
		if len(o.Pools) > 0 && !slices.Contains(o.Pools, p.Name) {
			continue
		}
		if err := w.pool(p, o.Delays); err != nil {
			return nil, err
		}
	}
	return w.inOrder(), nil
}

// wishes collects objects.
type wishes struct {
	list  []*Object
	index map[string]*Object
}

// pool adds what a pool wants.
func (w *wishes) pool(p *config.Pool, delays Delays) error {
	q := p.BrokerQueue()
	asItIs := q.Declare == broker.DeclarePassive
	if err := w.queue(q, p.Name, asItIs); err != nil {
		return err
	}
	if p.Codec != (codec.Magne{}).Name() { // magne's queues have an exchange of their own
		entry := broker.Topology{
			Exchanges: []broker.Exchange{{Name: EntryExchange, Kind: "direct", Durable: true}},
			Bindings:  []broker.Binding{{Exchange: EntryExchange, Key: q.Name, Queue: q.Name}},
		}
		if err := w.topology(entry, p.Name, asItIs); err != nil {
			return err
		}
	}
	durable, waits := Waits(&p.Retry)
	if delays == DelaysNever || delays == DelaysAsNeeded && !waits {
		return nil
	}
	if err := ladder.Routable(q.Name); err != nil {
		if delays == DelaysAsNeeded && !durable {
			return nil // such a pool waits in its process
		}
		return fmt.Errorf("topology: pools.%s.queue: delays cannot lead to it: %w", p.Name, err)
	}
	// The ladder is ours, whoever the queue belongs to.
	if err := w.topology(ladder.Topology(), p.Name, false); err != nil {
		return err
	}
	return w.topology(ladder.Exit(q.Name), p.Name, asItIs)
}

// Waits reports whether a policy wants the broker to keep what waits for a retry,
// and whether it insists on that.
func Waits(r *config.Retry) (insists, waits bool) {
	if r.Delay != "memory" && r.Max > r.Hold {
		insists, waits = r.Delay == "durable", true
	}
	for _, t := range r.Tasks {
		i, w := Waits(&t)
		insists, waits = insists || i, waits || w
	}
	return insists, waits
}

// queue adds a queue with its exchange and its dead letters.
func (w *wishes) queue(q broker.Queue, pool string, asItIs bool) error {
	t := broker.Topology{Queues: []broker.Queue{q}}
	if q.Exchange != "" {
		t.Exchanges = []broker.Exchange{{Name: q.Exchange, Kind: "direct", Durable: q.Durable}}
		t.Bindings = []broker.Binding{{Exchange: q.Exchange, Key: q.BindingKey(), Queue: q.Name}}
	}
	if q.Dead != nil { // first: a queue must not lead into the void
		if err := w.queue(*q.Dead, pool, asItIs); err != nil {
			return err
		}
	}
	return w.topology(t, pool, asItIs)
}

func (w *wishes) topology(t broker.Topology, pool string, asItIs bool) error {
	add := func(o Object) error {
		o.Pools, o.AsItIs = []string{pool}, asItIs
		return w.add(o)
	}
	for _, e := range t.Exchanges {
		if err := add(Object{Kind: KindExchange, Name: e.Name, Type: e.Kind, Durable: e.Durable, Args: e.Args}); err != nil {
			return err
		}
	}
	for _, q := range t.Queues {
		if err := add(Object{Kind: KindQueue, Name: q.Name, Durable: q.Durable, Args: q.Args}); err != nil {
			return err
		}
	}
	for _, b := range t.Bindings {
		o := Object{Kind: KindBinding, Name: b.Destination(), Exchange: b.Exchange, Key: b.Key, ToExchange: b.ToExchange != "", Args: b.Args}
		if err := add(o); err != nil {
			return err
		}
	}
	return nil
}

// add adds an object, or a pool to one that is there.
func (w *wishes) add(o Object) error {
	was := w.index[o.id()]
	if was == nil {
		if w.index == nil {
			w.index = map[string]*Object{}
		}
		w.index[o.id()] = &o
		w.list = append(w.list, &o)
		return nil
	}
	if was.Type != o.Type || was.Durable != o.Durable || !reflect.DeepEqual(was.Args, o.Args) {
		return fmt.Errorf("topology: the pools %s and %s want the %s %q with different arguments: give one of them another queue, or the same codec",
			was.Pools[0], o.Pools[0], o.Kind, o.Name)
	}
	if !slices.Contains(was.Pools, o.Pools[0]) {
		was.Pools = append(was.Pools, o.Pools[0])
	}
	was.AsItIs = was.AsItIs && o.AsItIs
	return nil
}

// inOrder returns the objects as they have to be declared.
func (w *wishes) inOrder() []Object {
	all := make([]Object, len(w.list))
	for i, o := range w.list {
		all[i] = *o
	}
	rank := map[Kind]int{KindExchange: 0, KindQueue: 1, KindBinding: 2}
	slices.SortStableFunc(all, func(a, b Object) int { return cmp.Compare(rank[a.Kind], rank[b.Kind]) })
	return all
}

// spec is a queue as an Admin takes it.
func (o *Object) spec() amqp.QueueSpec {
	return amqp.QueueSpec{Name: o.Name, Durable: o.Durable, Args: maps.Clone(o.Args)}
}

func (o *Object) exchange() broker.Exchange {
	return broker.Exchange{Name: o.Name, Kind: o.Type, Durable: o.Durable, Args: maps.Clone(o.Args)}
}
