package broker

// Topology is a set of exchanges, queues and bindings to declare together, see
// [Session.Apply].
type Topology struct {
	Exchanges []Exchange
	Queues    []Queue
	Bindings  []Binding
}

// Exchange describes an exchange.
type Exchange struct {
	Name    string
	Kind    string         // direct, topic, fanout or headers
	Durable bool           // survives a broker restart
	Args    map[string]any // alternate-exchange and the like
}

// Binding leads the messages of an exchange whose routing key Key matches to a
// queue or to another exchange: exactly one of Queue and ToExchange is set.
type Binding struct {
	Exchange, Key     string
	Queue, ToExchange string
	Args              map[string]any
}

// Destination returns the name of what the binding leads to.
func (b *Binding) Destination() string {
	if b.ToExchange != "" {
		return b.ToExchange
	}
	return b.Queue
}
