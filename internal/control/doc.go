// Package control lets an operator look into a running magne-actors process:
// an HTTP server on a unix socket and its client.
//
//	err := control.Serve(ctx, socket, control.Source{Version: v, Tree: system.Tree}, log)
//
//	node, err := control.Client{Socket: socket}.Tree(ctx)
//	if errors.Is(err, control.ErrUnreachable) { ... }
//
// # Guarantees
//
// Access: the socket has mode 0600 from the moment it exists (on Linux without
// a gap, whatever the umask), in a directory where other users cannot replace
// it. Who may open the socket may read everything, profiles included, and change
// what runs. ServeTCP gives the same to who bears a token, and does not start
// without one.
//
// Blocking: an answer never waits for an actor. Source.Tree is called on a
// goroutine of its own and reads atomics; when it does not return all the same,
// the request gets 503 after two seconds, and there is never more than one such
// goroutine. A request that changes something is answered when that is done,
// after a minute at the latest; one that waits for events or for the log, when
// there is something, when its time is over, or when the server ends. There are
// at most 64 of those.
//
// Logs and Events are filled beside the work: putting in costs a microsecond, and
// waits for a reader for no longer than the copy of a ring takes.
//
// Ownership of the path: a socket that a dead process left is removed. A socket
// on which somebody answers is never touched; Serve returns an error that wraps
// ErrInUse then. At the end Serve removes the socket, unless another process
// has put its own there meanwhile.
//
// # Testing
//
// Everything works in a temporary directory without privileges; see
// example_test.go. The HTTP interface is described in docs/control-api.md.
package control
