// Package copies runs several copies of a program, each an OS process under a
// supervisor, and shows them as one instance: one tree, one log, one list of
// events, one set of operations.
//
//	g, err := copies.New(copies.Options{N: 3, Command: []string{exe, "run", "-c", file}, Dir: dir, Host: host, ...})
//	...
//	source.Tree, source.Scale = g.Tree, g.Scale
//	err = g.Run(ctx)
//
// A copy is a program that answers on the control socket which the environment
// gives it, and logs JSON lines. Its number, from 1, is in the ids of its nodes:
// what is mail/3 in copy 2 is mail/3@2 here.
//
// # Guarantees
//
// A copy that ends without having been told to is started again by its supervisor,
// with its backoff and intensity; but not for ever when it ends with a status that
// says that this would not help.
//
// When the program dies, by kill -9 as well, the copies die with it: they are
// processes of an osproc.Host.
//
// Run returns when every copy is dead. The end of its context is a TERM for all
// copies at once; one that is not dead after Options.Grace is killed. Abort ends
// them within three seconds.
//
// A snapshot waits for the copies for half a second at most, for all of them at
// once. What a copy that does not answer said last is shown, and that it is old.
//
// An operation on a pool goes to all copies, or to one with the number: mail@2. Its
// error says which copies it is about, and is nil only if all have done it. A copy
// that is started again is told what operators have asked of its pools, as soon as
// it answers: until then a pool that is paused may take tasks for a moment.
//
// All methods may be called by several goroutines at once.
package copies
