// Package quarantine holds one decision: in which worker a suspect runs. A suspect
// is a task under which a worker has died; it may have been its doing or that of
// another task in the same worker. So a suspect runs alone, and the next death says
// which it was.
//
// Guarantees of a Ward whose acts are carried out:
//
//   - A suspect is admitted only to a worker that is up, runs nothing, and gets
//     nothing else until the suspect has left it.
//   - While other tasks wait, at most as many workers as New was told are kept for
//     suspects, and never all that are up, if there are two.
//   - With one worker they take turns: after each suspect a round of other tasks.
//     So neither waits for ever while tasks end, however many of the others come.
//   - While no other task waits, suspects run on all idle workers but one.
//   - A worker that is up and kept without need is given back by the next decision.
//
// It starts no goroutine, reads no clock and does no I/O; a decision is O(workers).
package quarantine
