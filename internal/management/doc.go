// Package management asks RabbitMQ's management API for what AMQP cannot tell:
// which queues, exchanges, bindings and policies there are, how many messages are
// unacknowledged, and how its nodes are.
//
//	c, err := management.New("http://guest:guest@127.0.0.1:15672/")
//	queues, err := c.Queues(ctx, "/")
//
// # Guarantees
//
// It only reads. Nothing is kept open between calls, and a Client may be used by
// several goroutines. Errors name the host and never the password. The API's
// numbers are some seconds old: where AMQP tells the same, it tells the truth.
package management
