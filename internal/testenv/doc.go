// Package testenv starts private RabbitMQ nodes for tests, benchmarks and the
// demo.
//
// A test asks for the node that its test binary shares, and for a queue name
// that no other test uses:
//
//	func TestMain(m *testing.M) { os.Exit(testenv.Main(m).Run()) }
//
//	func TestConsume(t *testing.T) {
//		url, queue := testenv.RabbitMQ(t), testenv.Name(t)
//		...
//	}
//
// The shared node is booted by the first test that asks for it, which takes
// some five seconds, and stopped by Main. With MAGNE_TEST_AMQP_URL set, tests
// use that broker and none is started. Where RabbitMQ is not installed a test is
// skipped with the reason, or fails when CI=true.
//
// A program, or a test that kills its broker, owns a [Node] from [Start].
//
// A node has its own ports, Erlang port mapper, cookie, data and log directory;
// it disturbs no other node of the machine and needs no privileges. It dies with
// the process that started it, even when that process is killed: a shell holds
// the read end of a pipe and kills the node when the pipe closes.
package testenv
