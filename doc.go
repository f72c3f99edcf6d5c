// Package magne is the front page of magne-actors; it has no code.
//
// magne-actors runs tasks from the queues of RabbitMQ, or of its own embedded
// broker: routed to workers under
// watermarks, each delivery settled exactly once towards the broker, everything
// kept alive by a supervision tree that an operator can look at.
//
// As a program it needs a magne.yaml and no Go; tasks are run by HTTP endpoints
// or builtins:
//
//	magne-actors run -c magne.yaml
//
// As a library it runs Go handlers; examples/embed is a whole program:
//
//	mux := task.NewMux()
//	mux.Handle("resize", task.Func(resize))
//	sys, err := actors.New(actors.Options{
//		Dialer: amqp.Dialer{URL: url},
//		Pools:  []actors.Pool{{Queue: amqp.QuorumQueue("resize"), Codec: codec.JSON{}, Mux: mux}},
//	})
//	if err != nil {
//		return err
//	}
//	return sys.Run(ctx) // blocks; the end of ctx is the order to drain
//
// Where things are:
//
//   - task: messages, handlers, the mux, outcome errors; task/codec: body formats;
//     task/builtin and task/httptask: handlers without code
//   - broker: the seam to a message broker; broker/amqp: the client of RabbitMQ and
//     its like; broker/publisher: publishing over lost connections, for Go programs
//     that make tasks; broker/embedded: a broker inside the process; broker/brokertest:
//     what an implementation must pass
//   - actors: the runtime; supervisor: OTP supervisors and the tree
//   - config: magne.yaml
//
// Delivery is at least once: a handler may run twice for one message.
//
// docs/architecture.md follows one delivery through the code, docs/adr says why
// it is as it is.
package magne
