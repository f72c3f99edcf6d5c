// Package ballast spares a process with a small heap most of its garbage
// collections.
//
// Go collects when the heap has grown by as much as it held after the last
// collection (GOGC=100). A worker that runs short tasks holds a few MiB and
// allocates 2 KiB for each task, so it would collect every few thousand tasks:
// about a third of its CPU time in `go run ./bench noop` (13.4 us a message with
// it, 9.1 us without). The ballast is a block of address space that counts as heap
// and is never touched: it costs no memory itself, and lets up to its size of
// garbage pile up. Unlike a larger GOGC it does not multiply a large heap.
package ballast
