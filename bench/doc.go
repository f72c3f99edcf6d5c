// Command bench measures magne-actors beside the plain client, amqp091-go, on a
// RabbitMQ of its own:
//
//	go run ./bench noop [-n 100000] [-runs 3]
//	go run ./bench latency [-n 10000] [-high 1000 -low 400]
//	go run ./bench noop -vs plain [-runs 9]
//	go run ./bench stop [-workers 8] [-runs 5]
//
// noop is what the runtime costs: N messages of 100 bytes in a durable quorum
// queue and handlers that do nothing. latency is magne's benchmark: tasks that
// wait 1, 3, 5 or 10 s, as many of them at once as the watermark allows.
// With -vs plain magne-actors is measured beside itself: without retries and
// dead-lettering, with both configured and unused, and with a spool as well. stop is
// how long an instance with Python processes takes to end. -h lists the others.
//
// # What it guarantees
//
// Each run has a fresh queue, which is full before the clock starts, and a fresh
// process, so that processor time and memory are of one system only. The clock
// goes from before the connection is opened to the last settlement that was
// written to the broker. Both systems get the same messages and the same
// waiting times in the same order. The runs of the systems alternate; the
// figures are medians. A run fails unless its queue and its dead-letter queue
// are empty afterwards, and when more deliveries were in flight, or more
// handlers ran at once, than high allows.
//
// stdout gets a table, or with -o json one object a line (the table goes to
// stderr then); progress goes to stderr. Exit status: 0 measured, 1 failed,
// 2 usage, 3 no broker. docs/benchmarks.md has figures and how to read them.
//
// To test code here: the arithmetic and the output are pure functions with
// golden tests; one test runs everything small.
package main
