// Package top is the terminal UI of `magne-actors top`: the supervision tree of a
// running instance with rates, live.
//
//	err := top.Run(ctx, top.Options{Fetch: fetch, Inspect: client.Inspect, Restart: client.Restart}, os.Stdin, os.Stdout)
//
// Measure makes a Sample with rates of two Snapshots; `top -o json` prints those.
//
// # Guarantees
//
// Nothing that may block runs where keys are read and lines are drawn: the
// instance is asked in commands of bubbletea, each with a deadline, one at a time.
// While it does not answer, the last tree stays on the screen under a line that
// says since when, and it is asked again at every interval.
//
// A Model decides by messages and the clock of its Options alone; it reads no
// environment and no terminal. View draws the lines that the window has room for,
// so that a key costs the same with ten nodes and with 10,000.
//
// No line is wider than the window, and none holds a control character of the
// instance: error texts come from tasks.
//
// No change is made to the instance without an answer to a question that names
// the node.
package top
