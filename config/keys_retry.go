package config

// retryKeys say what happens after a run that did not succeed.
func retryKeys() []key {
	const at = "pools.<pool>.retry"
	rows := []key{{
		path: at, kind: section,
		doc: "What happens after a failed attempt: the message is tried again after a wait, and after the last attempt it goes to the dead-letter queue. See docs/retries.md.",
	}}
	rows = append(rows, policyKeys(at)...)
	rows = append(rows, key{path: at + ".tasks", kind: names, doc: "Policies for single tasks, by name."},
		key{
			path: at + ".tasks.<task>", kind: section, sample: "hello",
			word: taskWord, wordDoc: taskWordDoc,
			doc: "The policy of one task. What it does not say is as in the pool's.",
		})
	for _, k := range policyKeys(at + ".tasks.<task>") {
		k.def, k.shown, k.rule = "", k.def, "as in the pool"
		rows = append(rows, k)
	}
	return rows
}

// policyKeys are those of a pool's policy, and of a task's.
func policyKeys(at string) []key {
	rows := []key{{
		path: at + ".max_attempts", kind: whole, def: "5", lo: "1", hi: "1000",
		doc: "How often a task is tried before it goes to the dead-letter queue.",
	}}
	rows = append(rows, backoff(at, "attempt", "1s", "30s", "0.5")...)
	return append(rows, []key{
		{
			path: at + ".delay", kind: text, def: "auto", enum: []string{"auto", "durable", "memory"},
			doc: "Where a wait longer than hold is spent. durable: in queues of the broker, so that it takes no room here and outlives this process. " +
				"auto: there, and in this process where the broker does not let us. memory: in this process, with the delivery unsettled and counted against the watermarks, at most max long.",
		},
		{
			path: at + ".hold", kind: duration, def: "2s", lo: "0s", hi: "1h",
			doc: "A wait up to this one is spent in this process, with the delivery unsettled, for at most a tenth of watermarks.high at a time.",
		},
		{
			path: at + ".retry_on", kind: list, def: `["*"]`,
			doc: "Kinds of errors that are tried again, such as timeout or http_5*, with * for any characters; others go to the dead-letter queue at once. " +
				"A kind is what the handler says, the class of an exception, the name of a Go type, timeout or panic.",
		},
		{
			path: at + ".discard_on", kind: list, def: "[]",
			doc: "Kinds of errors that are not tried again, also when retry_on has them.",
		},
		{
			path: at + ".max_snoozes", kind: whole, def: "100", lo: "1", hi: "1000000",
			doc: "How often a message may ask to be run later, which uses up no attempt, before it goes to the dead-letter queue.",
		},
	}...)
}

// taskWord is what a task may be called.
const (
	taskWord    = `^[A-Za-z_<][A-Za-z0-9_.:/<>-]{0,254}$`
	taskWordDoc = "a letter or _, then letters, digits and _.:/-, at most 255 in all"
)
