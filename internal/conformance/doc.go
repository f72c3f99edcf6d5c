// Package conformance runs a worker program through the protocol MWP/1 and says,
// row by row, what it does wrong. `magne-actors worker check` is its command.
//
//	report, err := conformance.Run(ctx, conformance.Options{Command: []string{"python3", "worker.py"}})
//	...
//	for _, row := range report.Rows {
//		fmt.Println(row.Result, row.Name, row.Detail)
//	}
//
// # What is judged
//
// The protocol only: that a task fails is as good an answer as any other. A task
// of the worker is run about a dozen times, with the arguments that Options give;
// name one that may be. Whether a worker reacts to a cancel in the middle of its
// work cannot be seen with a task that is quick; that each cancelled task gets one
// reply can.
//
// # Guarantees
//
// Run starts a few processes of the worker, never two at a time, each with the
// environment that Options give. When it returns all of them are dead and
// all that they have started. Nothing that a worker does makes Run panic, and
// each row ends within a few Timeouts. It blocks; the end of its context ends it.
//
// Every row is always in a report, in the same order; one that cannot be judged
// is skipped and says why.
//
// Linux only, as process mode is.
package conformance
