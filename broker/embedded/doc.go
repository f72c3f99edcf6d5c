// Package embedded is an AMQP 0-9-1 broker inside the process.
package embedded
