// Package routing decides which queues a message goes to: exchanges, bindings,
// and the rules of RabbitMQ 3.10 for declaring, binding and deleting them.
//
//	t := routing.New[*Queue]()
//	t, _, err := t.Declare(routing.Exchange{Name: "logs", Type: "topic", Durable: true})
//	t = t.AddQueue("audit", q, true)
//	t, _, err = t.Bind(routing.Binding{Source: "logs", Destination: "audit", Key: "#.error"}, nil)
//	queues, ok := t.Route(nil, routing.Message{Exchange: "logs", Key: "db.error"})
//
// # Guarantees
//
// A Table never changes. Each change returns another Table that shares with the
// first what is the same in both, so that a publisher may route by the Table it
// has while others declare and bind; nothing here blocks, locks or starts a
// goroutine. Whoever keeps the current Table lets one change be made at a time.
//
// A change costs the logarithm of what the Table holds: some 20 µs for a binding
// when there are 10,000, whatever the type of the exchange.
//
// Route yields no queue twice. It allocates nothing for a message that a direct
// exchange, the default exchange included, sends to queues only.
//
// Errors are *Error. Texts and reply codes are RabbitMQ's.
package routing
