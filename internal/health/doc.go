// Package health tells whether an instance does its work: what GET /readyz
// answers.
//
//	judge, prober := new(health.Judge), health.NewProber(health.ProberOptions{Dial: dial, Queues: queues})
//	services = append(services, actors.Service{ID: "prober", Run: prober.Run})
//	report := judge.Judge(health.Input{Now: now, Tree: s.Tree(), Pools: s.Stats(), Answer: prober.Ask(ctx)})
//
// A worker that is alive and consumes nothing after something has happened to its
// broker is what users of task queues report most, and what a probe that only asks
// the worker cannot see. So the broker is asked, too: how many messages wait, and
// whether it knows of a consumer.
//
// # Guarantees
//
// Decisions: a report is a function of its input and of the inputs before; it reads
// no clock and asks nobody. Not ready are a tree that is not up, a lost session, a
// pool that is parked, failed or draining, a consumer that is missing while
// messages wait or that the broker knows nothing of, and one that gets nothing for
// 2 s and three answers although messages wait and it has room. Ready are pools that consume, are
// idle, are paused by their watermark, or were suspended by an operator: the last
// two do what they were told to.
//
// When the broker cannot be asked the report says so, and judges by the rest.
//
// Blocking: Judge never blocks. Ask blocks for 2 s at most, and not while the last
// answer is fresh (5 s) or the broker has just failed to answer (up to a minute).
// Nobody who asks waits for anybody else who does: one goroutine, Run, talks to the
// broker, on a connection of its own that it closes after a minute without
// questions.
//
// Stuck is for a watchdog: it finds actors of the runtime that hang.
//
// To test code that uses it, give a Prober a Dial that fails.
package health
