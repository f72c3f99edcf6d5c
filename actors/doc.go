// Package actors is the runtime: it consumes queues, gives deliveries to workers
// within watermarks, and settles each of them exactly once.
//
// A System is a supervision tree:
//
//	root                   rest_for_one
//	|- broker              the session with the broker; consumers, pumps, outbox
//	|- pools               one_for_one
//	|  `- <pool>           rest_for_one
//	|     |- router:<pool> every delivery from arrival to settlement
//	|     `- pool:<pool>   dynamic: workers <pool>/1 .. <pool>/n
//	`- services            whatever Options.Services adds
//
// A delivery goes from the pump, which counts it in the watermark, to the router,
// which gives it to the least loaded worker; the worker runs it on a goroutine of
// its own (Coroutine) or on its OS thread (Thread), and what became of it goes
// straight back to the router. docs/architecture.md follows one delivery through
// the code.
//
// # Guarantees
//
// Settlement. A delivery is settled at most once, on the consumer that it came
// from, and exactly once while that consumer lives: whatever panics, calls
// runtime.Goexit, stops or restarts. A delivery whose consumer died is never
// settled; its task runs on and the broker delivers it again. So tasks run at
// least once.
//
// Deduplication. A message with a message-id that is delivered again while its task
// runs here is adopted: the task is not started twice, and the delivery that came
// last is settled when it ends. One whose task has ended here, and whose ack was not
// sent or may not have arrived, is settled with the result and not run. This holds for
// a pool, across sessions, pauses, restarts of its router and ReplacePool; not across
// processes. It is never done with a message that a publisher sends anew when the one
// with its id is done, as long as the two differ in a property or the body, or the
// connection was not lost within the minute before; Pool.Dedup switches it off. Two
// messages with equal ids and contents that are there at the same time are one: the
// task runs once, and both get its verdict.
//
// Order. Tasks of a pool start in the order of their deliveries, as far as
// workers are free; they end in any order. A retry goes to the end of the queue.
//
// Watermarks. At most Pool.High deliveries of a pool are in flight: accepted and
// not yet settled, those that wait for a retry included. At High the intake
// pauses until Low.
//
// Loss. A message that cannot be run (undecodable, too large, unknown task) and
// one whose attempts are used up is published to the dead-letter queue with its
// reason in the headers, and acked only after the broker has confirmed the copy.
// As long as that fails, it stays in flight and is tried again.
//
// Operators. What is changed while it runs (Scale, Pause, Resume, Limit, AddPool,
// RemovePool, ReplacePool, Restart) loses nothing and settles nothing twice; what
// had not started is given to others or back to its queue, what runs is settled.
//
// Processes. With the modes Process and Oneshot a task whose worker process died
// under it is run again without an attempt lost, Process.MaxLost times, and one
// that the process had not begun is given to another one.
//
// Blocking. Run blocks until the end, and what changes a System until that is done
// or its context ends; nothing else does. A task that ignores the end of its context cannot be
// killed, since a goroutine cannot: it is abandoned, see Pool.Timeout.
//
// # Testing
//
// A System needs nothing but a broker.Dialer. It works in a testing/synctest
// bubble when the Dialer does.
package actors
