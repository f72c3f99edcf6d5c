package config

import "slices"

// linkKeys say how the broker is spoken to: who we are, TLS, and what is kept
// while it takes nothing.
func linkKeys() []key { return slices.Concat(authKeys(), tlsKeys(), spoolKeys()) }

// pathKey is k as the key of a path.
func pathKey(k key) key {
	k.kind, k.pattern, k.patternDoc = text, `^[^\x00]+$`, "a path"
	return k
}

func authKeys() []key {
	return []key{
		{path: "broker.auth", kind: section, doc: "Who we are to RabbitMQ, where broker.url is not to say so. See docs/security.md."},
		{
			path: "broker.auth.mechanism", kind: text, def: "plain", enum: []string{"plain", "external"},
			doc: "plain: user and password. external: the broker takes the user from our certificate (SASL EXTERNAL), for which it needs broker.tls.cert_file and its plugin rabbitmq_auth_mechanism_ssl.",
		},
		{
			path: "broker.auth.user", kind: text, rule: "that of broker.url", pattern: `^[^\x00]{1,255}$`, patternDoc: "a user's name",
			doc: "The user, as it is: nothing is percent-encoded.",
		},
		{
			path: "broker.auth.password", kind: secret, rule: "that of broker.url",
			doc: "The password, as it is. One that file:/path names is read again for each connection.",
		},
		pathKey(key{
			path: "broker.auth.password_file",
			doc:  "File with the password, in place of password. It is read again for each connection, so that a new password is used after the next reconnect.",
		}),
		{
			path: "broker.require_tls", kind: boolean, def: "false",
			doc: "Refuse a broker.url that does not begin with amqps://. Without it, one that leads to another machine is a warning.",
		},
		{
			path: "broker.publish_window", kind: whole, def: "1000", lo: "1", hi: "65535",
			doc: "How many published messages may wait for the broker's confirm at once. Fewer are slower, many more are no faster.",
		},
	}
}

func tlsKeys() []key {
	return []key{
		{
			path: "broker.tls", kind: section,
			doc: "For amqps://. Without it the authorities of the system are trusted, with TLS 1.3.",
		},
		pathKey(key{
			path: "broker.tls.ca_file", rule: "the authorities of the system",
			doc: "PEM file with the certificate authorities to trust instead.",
		}),
		pathKey(key{
			path: "broker.tls.cert_file",
			doc:  "PEM file with our certificate, for a broker that asks for one. It is read again for each connection.",
		}),
		pathKey(key{
			path: "broker.tls.key_file",
			doc:  "PEM file with the private key that belongs to cert_file.",
		}),
		{
			path: "broker.tls.server_name", kind: text, rule: "the host of broker.url", pattern: `^[^\x00]+$`, patternDoc: "a host name",
			doc: "The name that the broker's certificate must be for.",
		},
		{
			path: "broker.tls.min_version", kind: text, rule: "1.3", enum: []string{"1.2", "1.3"},
			doc: "The oldest TLS to speak, in quotes. 1.2 is for a broker that knows no newer one.",
		},
	}
}

func spoolKeys() []key {
	return []key{
		{
			path: "broker.spool", kind: section,
			doc: "A directory that takes messages while the broker takes none: the copies of failed tasks (retries, dead letters) while it blocks publishers, and what `magne-actors publish --spool` is given. " +
				"Without dir there is none. See docs/publishing.md.",
		},
		pathKey(key{
			path: "broker.spool.dir", shown: "./magne-spool",
			doc: "The directory; it is made when it is missing. Several processes may share it.",
		}),
		{
			path: "broker.spool.max_bytes", kind: size, def: "256MiB", lo: "64KiB", hi: "1024GiB",
			doc: "How large all of its files together may become. What does not fit is refused: a failed task then stays with the broker, unsettled.",
		},
	}
}
