// Package e2e has no code, only tests: they build magne-actors and use it as a
// user does, by its command line, its signals, its socket and a real RabbitMQ.
//
// What they hold:
//
//   - nothing is lost and nothing that was acked runs again, whether the process
//     is told to stop, told twice, or killed, and whatever the broker does;
//   - malformed messages end in the dead-letter queue and hinder no other;
//   - every name of the contract (testdata/contract.md) exists in the binary, or
//     stands in a table with the issue that brings it: contract_test.go.
//
// A process is started by start, and asked by tree, which is `magne-actors tree`
// as well. Tests wait for what can be observed, with a deadline, and never for a
// time. Under -race the binary is built with the race detector, too.
//
// Without RabbitMQ the tests are skipped, or fail when CI=true; see
// internal/testenv.
package e2e
