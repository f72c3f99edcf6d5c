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
// it. There is no TCP listener and no other authentication: who may open the
// socket may read everything, profiles included, and restart what runs.
//
// Blocking: an answer never waits for an actor. Source.Tree is called on a
// goroutine of its own and reads atomics; when it does not return all the same,
// the request gets 503 after two seconds, and there is never more than one such
// goroutine.
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
