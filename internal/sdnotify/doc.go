// Package sdnotify tells systemd how a service of Type=notify or notify-reload is
// doing.
//
//	n := sdnotify.New(sdnotify.Options{Up: up, Alive: alive, Status: status, Logger: log})
//	if n.Enabled() {
//		services = append(services, actors.Service{ID: "notify", Kind: "control", Run: n.Run})
//	}
//	...
//	defer n.Reloading()()
//	n.Stopping()
//
// # What is sent
//
//   - READY=1 once Up says so.
//   - STATUS= when its text changes, at most once a second after READY=1.
//   - RELOADING=1 with MONOTONIC_USEC, and READY=1 when it is over.
//   - STOPPING=1, and then EXTEND_TIMEOUT_USEC each second for as long as Alive
//     returns nil: a stop that makes progress may take longer than TimeoutStopSec,
//     one that hangs may not.
//   - WATCHDOG=1, if the unit has WatchdogSec, three times in its length; not from a
//     ticker, but each time after Alive has returned nil. Alive is to have a message
//     handled by the runtime. A runtime that hangs sends no more, and systemd
//     restarts it.
//
// # Guarantees
//
// Blocking: Reloading and Stopping hand over to Run and never block. Run sends;
// what it has to send is a datagram that systemd takes unless it hangs itself.
//
// Run is a service of the tree that it watches: when the tree is no longer able to
// run a service, there is no watchdog either.
//
// Without NOTIFY_SOCKET in the environment nothing is sent, and Run only waits.
//
// To test code that uses it, give Options a Send that keeps what it gets.
package sdnotify
