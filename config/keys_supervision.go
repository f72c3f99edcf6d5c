package config

import (
	"slices"
	"strings"

	"github.com/magne-actors/magne-actors/supervisor"
)

// strategies are those that a supervisor of different children can have.
func strategies() []string { return []string{"one_for_one", "one_for_all", "rest_for_one"} }

func restarts() []string { return []string{"permanent", "transient", "temporary"} }

// patience are the words for a shutdown time.
func patience() map[string]any {
	return map[string]any{"brutal_kill": supervisor.BrutalKill, "infinity": supervisor.Infinity}
}

func supervisionKeys() []key {
	return slices.Concat(
		[]key{
			{path: "supervision", kind: section, doc: "What happens when a part of the runtime fails, in the words of Erlang/OTP."},
			{path: "supervision.root", kind: section, doc: "The supervisor at the top: broker, routers, pools, control."},
			{
				path: "supervision.root.strategy", kind: text, def: "rest_for_one", enum: strategies(),
				doc: "Which children are restarted when one fails: only that one, all, or that one and those started after it.",
			},
			intensity("supervision.root", "3", "More than this many restarts within period, and the program ends with exit status 70."),
			period("supervision.root"),
			{
				path:   "supervision.broker",
				absent: "the broker is one actor and not a supervisor, so there is nothing to set; supervision.root restarts it and counts its failures",
			},
			{path: "supervision.pools", kind: section, doc: "The supervisor above all pools. It has something to do when a pool gives up and has on_exhausted: escalate."},
			{
				path: "supervision.pools.strategy", kind: text, def: "one_for_one", enum: strategies(),
				doc: "Which pools are restarted when one has given up.",
			},
			intensity("supervision.pools", "3", "More than this many restarts of pools within period, and the program ends with exit status 70."),
			period("supervision.pools"),
			{
				path: "supervision.pools.shutdown", kind: text, def: "infinity", enum: []string{"infinity"},
				doc: "How long its pools have to stop. For a supervisor always infinity: each worker has a time of its own.",
			},
			{path: "supervision.defaults", kind: section, doc: "For every pool that does not say otherwise; the backoff is for every supervisor, the root too."},
			{path: "supervision.defaults.restart", kind: text, def: "permanent", enum: restarts(), doc: "The restart of the workers of all pools."},
			{
				path: "supervision.defaults.shutdown", kind: duration, lo: "1ms", hi: "24h", words: patience(), shown: "5s",
				rule: "5s; 30s for the workers of modes process and oneshot",
				doc:  "The shutdown of the workers of all pools.",
			},
			{path: "supervision.defaults.backoff", kind: section, doc: "How long to wait before a failed part is started again."},
		},
		backoff("supervision.defaults.backoff", "restart", "100ms", "30s", "0.2"),
		[]key{resetAfter("supervision.defaults.backoff", "30s")},
	)
}

// poolSupervisionKeys say what happens when a worker of a pool fails.
func poolSupervisionKeys() []key {
	return []key{
		intensity("pools.<pool>", "5", "More than this many restarts of workers within period, and the pool gives up: see on_exhausted."),
		period("pools.<pool>"),
		{
			path: "pools.<pool>.on_panic", kind: text, def: "fail", enum: []string{"fail", "crash"},
			modes: []string{"coroutine", "thread"}, hint: "a worker process that ends counts as a crash",
			doc: "What a panic of a handler is. fail: a failed attempt of its task, and nothing else. " +
				"crash: a crash of its worker as well, which is restarted with backoff and counts for intensity; its other tasks run on.",
		},
		{
			path: "pools.<pool>.on_exhausted", kind: text, def: "park", enum: []string{"park", "escalate"},
			doc: "What becomes of a pool that has given up. park: its consumer is cancelled, its messages stay in the queue, the tree shows it as FAILED, and the other pools run on; " +
				"`magne-actors restart` starts it again. escalate: it is restarted by supervision.pools, and when that gives up the program ends with exit status 70.",
		},
		{
			path: "pools.<pool>.restart", kind: text, rule: "supervision.defaults.restart", shown: "permanent", enum: restarts(),
			doc: "After which ends a worker is started again: all, only a failure, or none.",
		},
		{
			path: "pools.<pool>.shutdown", kind: duration, lo: "1ms", hi: "24h", words: patience(), shown: "5s",
			rule: "supervision.defaults.shutdown",
			doc: "How long a worker may take to stop when it is restarted, replaced or scaled away. With mode process it finishes its tasks in this time, " +
				"then it gets TERM, and after timeout.kill_after KILL; brutal_kill is KILL at once.",
		},
	}
}

func controlKeys() []key {
	return []key{
		{
			path: "control", kind: section,
			doc: "How `magne-actors tree` and the like reach a running instance.",
		},
		{
			path: "control.socket", kind: text, rule: "$XDG_RUNTIME_DIR/magne-actors/magne.sock, or magne.sock in the working directory without XDG_RUNTIME_DIR", shown: "./magne.sock",
			pattern: `^[^@\x00][^\x00]{0,106}$`, patternDoc: "a path of at most 107 bytes that does not begin with @",
			doc: "Path of a unix socket that only its owner may open. Two instances of one user need different ones.",
		},
		{
			path: "control.listen", kind: text, shown: "127.0.0.1:9671", pattern: addressPattern, patternDoc: "host:port",
			doc: "Where the control API is served over TCP as well, to who has the token.",
		},
		{
			path: "control.token", kind: secret, shown: "${CONTROL_TOKEN:-none-but-an-example}",
			doc: "What a request over TCP must bring: Authorization: Bearer, and this. `openssl rand -hex 32` makes one.",
		},
		{path: "control.tls", kind: section, doc: "For https at control.listen. Without it the token crosses the network in the clear."},
		{
			path: "control.tls.cert_file", kind: text, pattern: `^[^\x00]+$`, patternDoc: "a path",
			doc: "PEM file with the certificate, and those between it and its authority. It is read again for each connection.",
		},
		{
			path: "control.tls.key_file", kind: text, pattern: `^[^\x00]+$`, patternDoc: "a path",
			doc: "PEM file with the private key that belongs to cert_file.",
		},
		{path: "metrics", kind: section, doc: "Figures for Prometheus. They are on the control socket in any case."},
		{
			path: "metrics.listen", kind: text, shown: "127.0.0.1:9670", pattern: addressPattern, patternDoc: "host:port",
			doc: "Where /metrics, /livez and /readyz are served over TCP, to everybody who can reach it.",
		},
	}
}

// addressPattern is that of host:port, with [::1] for an address of IPv6.
const addressPattern = `^(\[[^\]\s]+\]|[^:\s]*):[0-9]{1,5}$`

const (
	modeProcess = "process"
	modeOneshot = "oneshot"
)

// withProcess are the modes whose tasks run in OS processes.
func withProcess() []string { return []string{modeProcess, modeOneshot} }

// isFor reports whether the key is one of a pool of that mode.
func (k *key) isFor(mode string) bool { return k.modes == nil || slices.Contains(k.modes, mode) }

// modeNames is "mode process" or "modes process and oneshot".
func (k *key) modeNames() string {
	if len(k.modes) == 1 {
		return "mode " + strings.Join(k.modes, "")
	}
	return "modes " + enumerate(k.modes, "and")
}
