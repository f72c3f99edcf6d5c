// Package process runs the tasks of a pool in OS processes: Slot keeps one worker
// process that speaks MWP/1, Oneshot starts a process for each task.
package process
