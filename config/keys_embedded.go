package config

// embeddedKeys are those of the broker inside the program.
func embeddedKeys() []key {
	const at = "broker.embedded"
	return append([]key{
		{path: at, kind: section, doc: "The broker inside this program, which runs when there is no broker.url; beside one, only `magne-actors broker -c` reads this. What it is for, and what not: docs/embedded.md."},
		{
			path: at + ".listen", kind: text, def: "127.0.0.1:5672",
			pattern: `^(\[[^\]\s]+\]|[^:\s]*):[0-9]{1,5}$`, patternDoc: "host:port",
			doc: "Where it takes AMQP connections from other programs, `magne-actors publish` among them. Beyond this machine it needs users.",
		},
		{
			path: at + ".dir", kind: text, def: "./magne-data", pattern: `^[^\x00]+$`, patternDoc: "a path",
			doc: "Directory of its durable queues and persistent messages; it is made when it is missing. Only one process can have it open.",
		},
		{
			path: at + ".fsync", kind: duration, def: "0s", lo: "0s", hi: "1m",
			doc: "How long a confirmed message may wait until it is safe on the disk; with 0s a confirm is sent after that. " +
				"What was confirmed within this time is lost when the machine stops, not when only the program does.",
		},
		{
			path: at + ".consumer_timeout", kind: duration, def: "30m", lo: "0s", hi: "8760h",
			doc: "How long a delivery may be unsettled until its channel is closed and the message goes to another consumer; 0s is for ever.",
		},
		{
			path: at + ".heartbeat", kind: duration, def: "60s", lo: "0s", hi: "1h",
			doc: "The interval that it proposes to clients; 0s proposes none. Whole seconds.",
		},
		{
			path: at + ".body_memory", kind: size, def: "64MiB", lo: "0", hi: "1024GiB",
			doc: "How many bytes of messages that are on the disk are kept in memory as well.",
		},
		{
			path: at + ".users", kind: names, rule: "only guest with the password guest, from this machine",
			doc: "Who may connect: names with the hash of the password.",
		},
		{
			path: at + ".users.<user>", kind: secret, sample: "alice", shown: "'$2b$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234'",
			word: `^[^\x00-\x1f]{1,255}$`, wordDoc: "1 to 255 characters that can be printed",
			doc: "Hash of the user's password in single quotes, argon2id or bcrypt; `magne-actors broker hash-password` makes one.",
		},
		{path: at + ".tls", kind: section, doc: "For amqps:// at listen. Without it the connections are plain."},
		{
			path: at + ".tls.cert_file", kind: text, pattern: `^[^\x00]+$`, patternDoc: "a path",
			doc: "PEM file with the broker's certificate, and those between it and its authority. It is read again for each connection.",
		},
		{
			path: at + ".tls.key_file", kind: text, pattern: `^[^\x00]+$`, patternDoc: "a path",
			doc: "PEM file with the private key that belongs to cert_file.",
		},
	}, limitKeys(at+".limits")...)
}

// limitKeys bound what the clients of the embedded broker can make it hold.
func limitKeys(at string) []key {
	return []key{
		{path: at, kind: section, doc: "What the embedded broker lets its clients do, so that none of them takes all of its memory."},
		{path: at + ".connections", kind: whole, def: "1024", lo: "1", hi: "1048576", doc: "Connections at once."},
		{path: at + ".channels", kind: whole, def: "2047", lo: "1", hi: "65535", doc: "Channels of a connection."},
		{path: at + ".consumers", kind: whole, def: "10000", lo: "1", hi: "1000000", doc: "Consumers of a channel."},
		{path: at + ".queues", kind: whole, def: "100000", lo: "1", hi: "10000000", doc: "Queues of all clients."},
		{path: at + ".frame", kind: size, def: "128KiB", lo: "4KiB", hi: "1GiB", doc: "The largest frame of the protocol."},
		{path: at + ".message", kind: size, def: "128MiB", lo: "1B", hi: "1GiB", doc: "The largest body of a message; a larger one closes the channel."},
		{
			path: at + ".transient", kind: size, def: "512MiB", lo: "1MiB", hi: "1024GiB",
			doc: "Messages that are in memory only, those of queues that are not durable among them. With more of them publishers are blocked.",
		},
		{
			path: at + ".buffer", kind: size, def: "512KiB", lo: "4KiB", hi: "1GiB",
			doc: "What waits to be written to a connection. Above it deliveries stay in their queues.",
		},
	}
}
