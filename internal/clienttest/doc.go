// Package clienttest holds tests only: AMQP clients of other languages, as people
// use them, do the same against the embedded broker and against RabbitMQ, and see
// the same: kombu and Celery (Debian's packages) and amqplib (from npm, the version
// is locked in testdata/package-lock.json).
package clienttest
