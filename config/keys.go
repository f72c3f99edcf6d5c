package config

import (
	"cmp"
	"regexp"
	"slices"

	"github.com/magne-actors/magne-actors/task/builtin"
	"github.com/magne-actors/magne-actors/task/codec"
)

// kind is the type of a key's value.
type kind uint8

const (
	section  kind = iota // a mapping with the keys below it
	names                // a mapping whose keys are names that the user chooses
	text                 // a string, or one of key.enum
	secret               // a string that is never shown; "file:/path" reads it from a file
	whole                // a whole number
	number               // a number with a fraction
	duration             // time.ParseDuration
	size                 // bytes: 65536, 64KiB, 1MB
	list                 // a list of texts; a number in it is taken as it is written
	percent              // 150%, of one CPU
	rate                 // 500/s, 30/m
	boolean              // true or false
)

// key is one row of the table. Everything that is said about a key, to users and
// to the code, is said here.
type key struct {
	path string // a component in <> is a name that the file chooses
	kind kind
	doc  string // sentences for people; the first one stands in the file that init writes

	def      string            // the default, as it would be written in the file
	rule     string            // how the default is found when it is not constant
	required bool              // without it the configuration is not complete
	enum     []string          // the words that are allowed
	later    map[string]string // words that the design has and this version has not, and why
	lo, hi   string            // bounds, both allowed, written like values
	beyond   string            // appended to the message when a bound is passed

	// pattern is a regular expression for a text, and word one for the name that
	// stands for a component in <>; the Doc says it in words.
	pattern, patternDoc string
	word, wordDoc       string
	re                  *regexp.Regexp // pattern or word, made by matches

	// private lists have elements that are never shown, as a secret is not.
	private bool

	// optional sections have no defaults unless the section is there.
	optional bool

	// words may stand in place of a value, and what each of them means.
	words map[string]any

	// others are what people call the key elsewhere: a mistake is answered with the name.
	others []string

	// alone is the key of a section that a single value in the section's place
	// is for: timeout: 30s is timeout: {hard: 30s}.
	alone string

	// modes are those that the key is for; none is all of them. hint is what to
	// use in the others.
	modes []string
	hint  string

	// absent is why the key, which the design has, is refused by this version.
	absent string

	// The rest is about the file that init writes. It shows every key, those
	// without a sample commented out.
	sample  string            // the value, or for <> the name
	shown   string            // the value to show commented out, when it is not the default
	comment []string          // for <>: further names, commented out
	only    string            // for a key below <>: shown for this name only
	per     map[string]string // the value that is shown for a name in comment
}

// matches holds a text, or a name, against the regular expression.
func (k *key) matches(s string) bool {
	if k.re == nil {
		k.re = regexp.MustCompile(cmp.Or(k.pattern, k.word))
	}
	return k.re.MatchString(s)
}

// keys is the table, in the order in which people read it.
func keys() []key {
	return slices.Concat(
		[]key{
			{
				path: "version", kind: whole, required: true, lo: "1", hi: "1", sample: "1",
				beyond: "this magne-actors reads version 1",
				doc:    "Version of the file format.",
			},
		},
		brokerKeys(),
		[]key{},
		controlKeys(),
		[]key{
			{
				path: "shutdown", kind: duration, def: "30s", lo: "1ms", hi: "24h",
				doc: "How long running tasks may go on after the first TERM or INT. What is left then returns to its queue.",
			},
			{
				path: "processes", kind: whole, def: "1", lo: "1", hi: "256",
				doc: "Copies of the consumer to run, each an OS process with pools and connections of its own. A copy that ends is started again. Watermarks and workers count for each copy.",
			},
		},
		supervisionKeys(),
		poolKeys(),
		taskKeys(),
	)
}

func brokerKeys() []key {
	return slices.Concat(
		[]key{
			{path: "broker", kind: section, doc: "The broker to consume from: RabbitMQ at url, or without url the one that is embedded in this program."},
			{
				path: "broker.url", kind: secret, rule: "the embedded broker", shown: "amqp://guest:guest@127.0.0.1:5672/",
				pattern: `^(amqps?://|file:|.*\$\{)`, patternDoc: "amqp://user:password@host:5672/vhost (amqps:// for TLS) or file:/path",
				doc: "Address of RabbitMQ with user, password and virtual host; amqps:// for TLS. " +
					"Special characters in user, password and virtual host are percent-encoded.",
			},
			{
				path: "broker.urls", kind: list, private: true, shown: "[amqp://guest:guest@10.0.0.1:5672/, amqp://guest:guest@10.0.0.2:5672/]",
				doc: "Addresses of further nodes of RabbitMQ, each written like url, which may be missing then: all are tried in random order, and another one first when a connection is lost. " +
					"The wait of reconnect comes after all of them have failed.",
			},
			{
				path: "broker.ack_timeout", kind: duration, def: "30m", lo: "0s", hi: "8760h",
				doc: "The broker's limit for the time from a delivery to its settlement: RabbitMQ's consumer_timeout. " +
					"A task that has used up half of it is warned about, and kept apart so that the broker takes no other delivery away with it. 0s: there is none. " +
					"For the embedded broker it is embedded.consumer_timeout.",
			},
			{
				path: "broker.management", kind: secret, shown: "http://guest:guest@127.0.0.1:15672/",
				pattern: `^(https?://|file:|.*\$\{)`, patternDoc: "http://user:password@host:15672/ or file:/path",
				doc: "Address of RabbitMQ's management API. Only `magne-actors queue` asks it, and only for what AMQP cannot tell: " +
					"which queues there are, and how many messages are unacknowledged. Without user and password those of broker.url are used.",
			},
			{
				path: "broker.heartbeat", kind: duration, def: "10s", lo: "1s", hi: "1h",
				doc: "How often both sides show that they are alive. A dead connection is noticed after about 1.5 times this.",
			},
		},
		linkKeys(),
		embeddedKeys(),
		[]key{
			{
				path: "broker.reconnect", kind: section,
				doc: "How long to wait between attempts to reach the broker. A lost connection never counts as a crash.",
			},
		},
		backoff("broker.reconnect", "attempt", "100ms", "30s", "0.5"),
		[]key{resetAfter("broker.reconnect", "2s")},
	)
}

func poolKeys() []key {
	return slices.Concat(
		intakeKeys(),
		attemptKeys(),
		retryKeys(),
		poolSupervisionKeys(),
		processKeys(),
		workerKeys(),
		[]key{
			{path: "pools.<pool>.actor", absent: "the mode says what a worker is: write mode: coroutine, with tasks"},
			{path: "pools.<pool>.oneshot", absent: "write mode: oneshot, and what to run under process"},
		},
	)
}

// intakeKeys say what a pool consumes and with how many workers.
func intakeKeys() []key {
	return []key{
		{
			path: "pools", kind: names, required: true,
			doc: "The pools by name, at least one. A pool is one queue and the workers that serve it.",
		},
		{
			path: "pools.<pool>", kind: section, sample: "hello", comment: []string{"resize"},
			word: `^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$`, wordDoc: "letters, digits, _ . and -, at most 64 of them",
			doc: "One pool. Its name shows in logs and in the tree.",
		},
		{
			path: "pools.<pool>.queue", kind: text, rule: "the pool's name; in upper case with codec magne", shown: "hello",
			pattern: `^[^\x00-\x1f]{1,241}$`, patternDoc: "1 to 241 characters that can be printed",
			doc: "The queue to consume from.",
		},
		{
			path: "pools.<pool>.codec", kind: text, def: "json", enum: codec.Names(),
			doc: `Format of the bodies: json is {"task": "name", "args": [...], "kwargs": {...}}, magne is {"func": "name", "args": [...]}. ` +
				"With json the queue is a durable quorum queue, with magne it and its exchange are declared as magne does, not durable.",
		},
		{
			path: "pools.<pool>.declare", kind: text, def: "create", enum: []string{"passive", "match", "create"},
			doc: "What to do about the queue before consuming: create it when it is missing, " +
				"match an existing one with exactly these arguments, or take whatever is there (passive).",
		},
		{
			path: "pools.<pool>.mode", kind: text, def: "coroutine", enum: []string{"coroutine", "thread", modeProcess, modeOneshot}, per: map[string]string{"resize": modeProcess},
			doc: "coroutine: a goroutine for each task, for work that waits. thread: one task at a time in each worker, on an OS thread of its own, for blocking C libraries. " +
				"process: each worker is an OS process of any language that runs task after task. oneshot: an OS process for each task.",
		},
		{
			path: "pools.<pool>.workers", kind: whole, def: "1", sample: "2", lo: "1", hi: "100000",
			doc: "Workers: actors, or with mode process OS processes. Not together with size.",
		},
		{
			path: "pools.<pool>.slots", kind: whole, def: "1", sample: "50", lo: "1", hi: "1000000",
			modes: []string{"coroutine", "thread", modeOneshot}, hint: "a process runs as many tasks at once as concurrency says",
			doc: "Tasks that one worker runs at once; with mode thread always 1.",
		},
		{path: "pools.<pool>.watermarks", kind: section, doc: "How many deliveries the pool holds at once, running and waiting."},
		{
			path: "pools.<pool>.watermarks.high", kind: whole, rule: "what all workers can hold: workers * slots, with mode process size.max * pipeline", shown: "100", lo: "1", hi: "1000000",
			doc: "At this many accepted and not yet settled deliveries the pool stops taking more. It is the prefetch count as well.",
		},
		{
			path: "pools.<pool>.watermarks.low", kind: whole, rule: "half of high, rounded up; 0 when high is 1", shown: "50", lo: "1", hi: "1000000",
			doc: "A pool that has stopped goes on when it is down to this many.",
		},
	}
}

// attemptKeys say how a task is run, and run again.
func attemptKeys() []key {
	return []key{
		{
			path: "pools.<pool>.timeout", kind: section, alone: "hard", per: map[string]string{"resize": ""},
			doc: "How long a task may run; timeout: 30s is short for timeout: {hard: 30s}.",
		},
		{
			path: "pools.<pool>.timeout.hard", kind: duration, def: "0s", lo: "0s", hi: "720h",
			doc: "After this long the attempt has failed and the task's context is cancelled. With a process: it is told to dump, if it should, sent TERM, and after kill_after it is killed with all that it started. 0s is no limit.",
		},
		{
			path: "pools.<pool>.timeout.soft", kind: duration, def: "0s", lo: "0s", hi: "720h", modes: withProcess(), only: "resize",
			doc: "After this long the worker is asked to cancel the task, with mode oneshot the process is sent TERM and at hard killed; 0s is never.",
		},
		{
			path: "pools.<pool>.timeout.kill_after", kind: duration, def: "2s", lo: "1ms", hi: "24h", modes: withProcess(), only: "resize",
			doc: "How long after TERM a process is killed.",
		},
		{
			path: "pools.<pool>.timeout.dump_signal", kind: text, def: "none", enum: []string{"none", "QUIT", "ABRT", "USR1", "USR2"}, modes: withProcess(), only: "resize",
			doc: "A signal that has the worker write its stacks to its log before TERM: QUIT for Go and Java, what faulthandler.register was given for Python.",
		},
		{
			path: "pools.<pool>.abandon_after", kind: duration, def: "5s", lo: "1ms", hi: "24h",
			modes: []string{"coroutine", "thread"}, hint: "a process that does not end is killed, see timeout.kill_after",
			doc: "How long after its timeout a task that does not return is abandoned: its slot is free again, its goroutine is counted until it ends.",
		},
		{
			path: "pools.<pool>.max_body", kind: size, def: "1MiB", lo: "1B", hi: "128MiB",
			doc: "A larger body is not decoded but dead-lettered.",
		},
		{
			path: "pools.<pool>.dedup", kind: text, def: "process", enum: []string{"process", "off"},
			doc: "What happens to a message with a message-id that the broker delivers again, as it does after a lost connection, although its task runs or has just ended in this process. " +
				"process: it is settled with the result of that task. off: it is run again. docs/idempotency.md says what holds, and what to do about other processes.",
		},
	}
}

func taskKeys() []key {
	return []key{
		{
			path: "pools.<pool>.tasks", kind: names,
			modes: []string{"coroutine", "thread"}, hint: "the program of process.command says which tasks it knows",
			rule: "the handlers that a Go program passes to File.Options; `magne-actors run` has none of its own and needs the key",
			doc:  "The tasks that the pool knows, by name. A message for another task goes to the dead-letter queue.",
		},
		{
			path: "pools.<pool>.tasks.<task>", kind: section, sample: "hello", comment: []string{"notify"},
			word: taskWord, wordDoc: taskWordDoc,
			doc: "One task: exactly one of builtin and http.",
		},
		{
			path: "pools.<pool>.tasks.<task>.builtin", kind: text, sample: "echo", only: "hello",
			enum: builtin.Names(),
			doc: "A handler that is built in. echo does nothing but log the task at level debug; sleep waits for as many seconds as its first argument says; " +
				"fail fails; latency_bench waits like magne's benchmark.",
		},
		{
			path: "pools.<pool>.tasks.<task>.http", kind: section, optional: true, only: "notify",
			doc: "Send the task to an HTTP endpoint. 2xx is done; 429 and 503 are tried again after Retry-After, which uses up no attempt, other 5xx and no answer after a backoff; " +
				"any other status sends the task to the dead-letter queue.",
		},
		{
			path: "pools.<pool>.tasks.<task>.http.url", kind: secret, required: true, shown: "http://127.0.0.1:8080/hooks/{task}",
			pattern: `^(https?://|file:|.*\$\{)`, patternDoc: "http://host:port/path with {task}, {id} and {queue} where they are wanted, or file:/path",
			doc: "Where to send it. {task}, {id} and {queue} stand for the task's name, the message's id and the queue, in path and query. " +
				"A user and password in it are sent as basic authentication.",
		},
		{
			path: "pools.<pool>.tasks.<task>.http.method", kind: text, def: "POST",
			enum: []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}, doc: "Request method. The first two and DELETE send no body.",
		},
		{path: "pools.<pool>.tasks.<task>.http.headers", kind: names, doc: "Further request headers by name."},
		{
			path: "pools.<pool>.tasks.<task>.http.headers.<header>", kind: secret, sample: "X-Token", shown: "${HOOK_TOKEN:-none}",
			word: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", wordDoc: "a header name: letters, digits and -",
			doc: "Value of the header; never shown.",
		},
	}
}

// backoff returns the keys of a backoff with these defaults.
func backoff(prefix, what, initial, longest, jitter string) []key {
	return []key{
		{path: prefix + ".initial", kind: duration, def: initial, lo: "1ms", hi: "24h", doc: "Wait before the first new " + what + "."},
		{path: prefix + ".factor", kind: number, def: "2", lo: "1", hi: "100", doc: "Each further wait is this many times the one before."},
		{path: prefix + ".max", kind: duration, def: longest, lo: "1ms", hi: "24h", doc: "The longest wait."},
		{
			path: prefix + ".jitter", kind: number, def: jitter, lo: "0", hi: "1",
			doc: "Each wait is moved at random by up to this share of itself, so that many do not come at the same moment.",
		},
	}
}

func resetAfter(prefix, def string) key {
	return key{
		path: prefix + ".reset_after", kind: duration, def: def, lo: "1ms", hi: "24h",
		doc: "After this long without a failure the waits begin with initial again.",
	}
}

func intensity(prefix, def, doc string) key {
	return key{path: prefix + ".intensity", kind: whole, def: def, lo: "0", hi: "1000", doc: doc}
}

func period(prefix string) key {
	return key{path: prefix + ".period", kind: duration, def: "60s", lo: "1ms", hi: "24h", doc: "The time over which restarts are counted for intensity."}
}
