// Package supervisor keeps a tree of actors alive in the way of Erlang/OTP's
// supervisor: children are started in order and stopped in reverse order, a
// failure restarts what the strategy says, and a supervisor that needs too many
// restarts in too little time stops its children and fails upwards.
//
//	sys := supervisor.NewSystem(log)
//	defer sys.Close()
//	err := sys.Run(ctx, "root", supervisor.Spec{Strategy: supervisor.RestForOne},
//		supervisor.Child{ID: "db", Producer: newDB},
//		supervisor.Child{ID: "api", Producer: supervisor.Service(log, serve)},
//	)
//
// Guarantees:
//   - A child is started when the one before it is up: it has handled Started
//     without failing; a Starter has called Ready; a supervisor is up when all of
//     its children are. Those of a Dynamic supervisor are started together, and
//     it is up before them.
//   - A child is stopped when the one after it is down, and waited for up to its
//     Shutdown time. Nothing can kill a goroutine: after that time the child is
//     abandoned. Its exit says so, it is counted in its node, and the tree goes
//     on without it; its successor is another actor with another name.
//   - Apart from abandoned ones, a child never has two incarnations at once. A
//     message about an older one changes nothing.
//   - However an actor ends, its supervisor learns of it: by a panic in Receive,
//     by runtime.Goexit, by Quit, by protoactor's Stop. It handles Stopping and
//     Stopped in each case. What is in its mailbox then is dropped; the message
//     that was in Receive at a panic is in the Exit.
//   - Snapshot and Inspect need no actor's cooperation.
//   - More than Intensity restarts never happen within any Period. What an
//     operator asks for by Add, Remove, Terminate, Restart or Scale is not counted.
//   - Nothing here blocks but Run, and those calls until they are done or their
//     context is; no supervisor waits for anything in its Receive. Functions in a
//     Child are called one at a time on its supervisor's goroutine, Inspect on
//     that of the snapshot.
//
// Close the system after Run has returned: its idle goroutines end then. Code
// that uses this package can be tested in testing/synctest bubbles.
//
// The words are compared with OTP's, sentence by sentence and test by test, in
// docs/supervision.md.
package supervisor
