// Package doctest holds the documents to the truth; it has tests only.
//
// The fenced blocks of README.md are run, in their order, with the embedded broker,
// and those of docs/operations.md against a private RabbitMQ. The word after the language says how:
//
//   - sh: a shell runs it, and must end with status 0. "sh service" is a program
//     that stays until the end of the document. "sh make" is not run: its targets
//     must exist in the Makefile.
//   - yaml: a valid magne.yaml without warnings; with a file name, that file.
//   - go, python, yml: with a file name, consecutive lines of that file.
//   - python: without one, run. js: run where amqplib is installed, else its syntax is checked.
//   - text tree: the ids of the tree that the service has.
//   - text and others: only looked at by people.
//
// Links lead somewhere, and what is written as `dir/file.go:(*type).method` in any
// document exists. The programs in examples are built and used.
package doctest
