// Package builtin holds the handlers that magne.yaml can name without any code:
//
//	tasks:
//	  magne_latency_bench: {builtin: latency_bench}
//
// They take positional or named arguments.
//
//   - echo(...): succeeds. Logs its arguments at level debug.
//   - sleep(seconds): waits. seconds is a number or a duration such as "150ms".
//   - fail(message?, kind?): does not succeed. kind is "failed" (the default: a
//     failed attempt), "retry", "discard" or "panic".
//   - latency_bench(seconds?): waits as long as LatencyDuration draws, or the
//     given time. It is the task of magne's own benchmark, magne_latency_bench in
//     magne/coro_consumer, whose mix comes from dramatiq's.
//
// Waiting takes a timer and no CPU. It ends early when the context does, and the
// error is the context's cause then. Arguments that do not fit are discarded, as
// task.Func says. The handlers are safe for concurrent use.
package builtin
