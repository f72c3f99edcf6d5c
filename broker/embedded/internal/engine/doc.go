// Package engine is the embedded broker without the network: exchanges, queues,
// consumers, acknowledgements, and what RabbitMQ does with a message after its
// time.
package engine
