// Package process runs the tasks of a pool in OS processes: a Slot keeps one
// worker process that speaks MWP/1 (package internal/wire), a Oneshot starts a
// process for each task.
//
//	host, err := process.NewHost(process.HostOptions{})
//	...
//	slot := process.NewSlot("mail/1", process.Options{
//		Pool: "mail", Host: host,
//		Spec: process.Spec{Command: []string{"python3", "worker.py"}},
//	})
//	child := supervisor.Child{
//		ID: "mail/1", Producer: slot.Actor, Shutdown: time.Minute, Inspect: slot.Inspect,
//		Kill: func(*actor.PID, int) { _ = slot.Kill() },
//	}
//	...
//	err = slot.Run(ctx, message)
//
// A Slot outlives its processes and the actors that keep them. Its actor ends,
// with an error, when a process dies that has not done a single task; the
// supervisor restarts it with its backoff, and parks the pool if that does not
// help, at once for what cannot help, such as a worker that does not know the
// tasks of the pool. A process that dies later, or under a task that ran too
// long, is replaced without a word to the supervisor.
//
// Child.Shutdown should be longer than DrainTimeout and Timeout.KillAfter
// together.
//
// # Guarantees
//
//   - Each Run of a Slot returns once, with the answer of the process or what became of
//     it, and no earlier than it is certain that the task runs no more. The one
//     exception is a mistake in here that makes the actor panic: its processes are
//     killed, and the answers do not wait for that.
//   - A process has at most Pipeline tasks, gets them only between its hello and the
//     drain frame, and in the order in which they came.
//   - At most one process of a slot gets tasks. Another one may be starting to take
//     its place, and older ones may be finishing what they have.
//   - Nothing that a process writes, and nothing that it does not, harms the program.
//     What breaks the protocol is killed with everything that it has started.
//   - Memory for what a process says is bounded: 64 frames and a body each. One that
//     says more waits in its write.
//   - When a slot's actor has ended, its processes are dead and reaped, unless the
//     actor panicked or was abandoned.
//   - Secrets are in no error, log or inspection, as long as the process does not
//     change them before it prints them.
//
// # What blocks
//
// Run blocks until the task is settled, Recycle and Replace until there is a new
// process or ctx is done. Signal, Kill and Inspect do not block; Inspect reads
// atomics only.
//
// # Testing
//
// What a slot decides is a pure function of events and the time, tested as such;
// code that uses a Slot is tested with a real process, which may be a shell script
// (sdk/sh) or the test binary itself.
//
// docs/process-mode.md is the whole of it for operators.
package process
