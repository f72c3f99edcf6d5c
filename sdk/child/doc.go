// Package child makes a Go program a worker process of magne-actors.
//
//	func main() {
//		mux := task.NewMux()
//		mux.Handle("resize", task.Func(resize))
//		if err := child.Serve(context.Background(), mux, child.Options{}); err != nil {
//			fmt.Fprintln(os.Stderr, err)
//			os.Exit(1)
//		}
//	}
//
// The Mux is the one that a program would give to actors.New: a handler moves
// between mode thread and mode process unchanged, with its Message, its context
// and its errors. The program of main above is what process.command of a pool
// names. The package imports the standard library and package task only.
//
// # What a handler sees
//
// Its Message has the name, arguments, headers, attempt, deadline, id and queue
// that it has in thread mode. If a body is not JSON, its one argument is the body
// as base64, which task.Func decodes into a []byte.
//
// Its context ends at the deadline, and when the supervisor cancels the task:
// context.Cause is then a *CancelError with the reason. A handler that returns the
// context's error then has answered as it should; one that returns nil is done
// all the same.
//
// nil is a success; task.Retry and task.Discard say what they say in thread mode;
// any other error is a failed attempt, and so is a panic, whose stack goes to the
// supervisor, or a runtime.Goexit.
//
// Progress, Bye and a LogHandler find the task in the context. Outside of a worker
// process they do nothing, or what they were given to do instead, so that they
// may stay in a handler that runs in thread mode.
//
// # Guarantees
//
// Serve answers each task exactly once, begins tasks in the order of their
// arrival and runs at most Options.Concurrency of them at a time, each on a
// goroutine of its own. Whatever a task prints is a line in the log of
// magne-actors and cannot disturb the protocol, and no process that it starts
// holds the pipes of the protocol.
//
// Serve blocks. It returns nil when it was told to finish and what it had has
// ended: after a drain, after the end of the supervisor, which it sees as the end
// of its pipe, and after the end of its context, for which it asks for a drain and
// waits up to five seconds. It returns an error at once when
// the pipes are broken; the program should exit then. No goroutine of its is left,
// except those of handlers that ignore their context in that last case.
//
// TERM ends a Go program at once, which the supervisor sends only after it has
// waited. A program that needs to clean up gives Serve a context of
// signal.NotifyContext.
package child
