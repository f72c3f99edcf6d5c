// Package task says what a task is and how a handler runs it. It imports the
// standard library only, so that a program with handlers of its own links
// little.
//
// A Message is one task to run. A Codec (package codec) makes it from the body
// that a publisher has sent. A Mux finds the Handler by the task's name, and
// runs it within the middleware:
//
//	mux := task.NewMux()
//	mux.Use(timing)
//	mux.Handle("resize", task.Func(func(ctx context.Context, a ResizeArgs) error {
//		return resize(ctx, a)
//	}))
//
// # Outcomes
//
// What a handler returns decides what becomes of the message:
//
//   - nil: done, the message is acknowledged.
//   - Retry(err, after): run it again after that time; this run is no attempt.
//   - Discard(err): never run it again, put it in the dead-letter queue.
//   - any other error: a failed attempt. The pool's retry policy decides.
//
// A panic is a failed attempt, with a *PanicError. A task that no handler is
// registered for, and arguments that do not fit a Func handler, are discarded:
// trying again would not help. OutcomeOf sorts an error into these.
//
// A policy may go by the kind of an error: see ErrorKind and WithKind.
//
// # Guarantees
//
// Mux.Run calls the handler in the goroutine of its caller and returns when the
// handler returns; the Mux adds no goroutine, no queue, no lock and no memory
// allocation. Run is safe for concurrent use. It returns whatever the handler
// does, with one exception that Go does not let a caller repair: after
// runtime.Goexit (t.FailNow calls it) no code of the goroutine runs but its
// deferred functions, so Run does not return. The runtime of package actors
// settles such a task from a deferred function of its own.
//
// A handler may be run more than once for one message, because the broker
// promises at-least-once delivery: it should be idempotent.
//
// # Testing
//
// A Handler needs no broker to be tested: call Handle with a Message that has
// the Name and Args set, and look at the error with OutcomeOf.
package task
