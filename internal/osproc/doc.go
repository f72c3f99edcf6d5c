// Package osproc starts operating system processes, watches them and ends them
// with everything they have started.
//
//	host, err := osproc.New(osproc.Options{})
//	...
//	p, err := host.Start(ctx, osproc.Spec{Command: []string{"python3", "worker.py"}, Transport: osproc.Frames})
//	...
//	<-p.Done()
//	fmt.Println(p.Exit()) // killed by SIGSEGV (core dumped) after 1.2s
//
// A Host is meant for the whole life of a program. It knows nothing of tasks,
// restarts or protocols.
//
// # Guarantees
//
// The scope of a process is what dies with it: its process group and every
// descendant, also one that has left the group by setsid or that outlived its
// parent; or its cgroup. When Done is closed, everything in the scope is dead and
// reaped, the exit is classified and the log has been read to its end.
//
// When the program itself dies, by kill -9 as well, the kernel kills the
// processes (PDEATHSIG) and a guard, a shell that waits for the end of a pipe,
// kills what they have started. Processes are started from one OS thread that
// lives as long as the Host, because PDEATHSIG is about the thread.
//
// A process costs two file descriptors for its state, two for its log, up to
// three for its pipes and three parked goroutines; no OS thread. It inherits the
// descriptors that its Spec names and no other one of this program.
//
// Signals reach the process that was started and never one that got its number
// later.
//
// Start blocks until the program has been executed, a few milliseconds. Done,
// Exit, Terminate, Kill, Signal, Stat and Tail do not wait for the process. Stop
// waits for Done, Close for all of them. All are safe for concurrent use. In, Out
// and Stdin of a Proc belong to the caller, who closes them.
//
// Where a process can hide: it clears its environment, leaves the process group
// and loses its parent, all three, before the scope is killed. A cgroup finds it;
// without one it is found only by Close, and only with Options.ReapStrays.
//
// # What a Host changes in its program
//
// New makes the program a child subreaper: orphans of its descendants become its
// children. Those of a scope are reaped with it. Others are reaped if
// Options.ReapStrays is set, which is for programs that start processes with
// their Host only. Every Start marks the descriptors of the program from 3 on
// close-on-exec.
//
// Linux 5.14 or later; on other systems New returns ErrNotSupported.
package osproc
