package archtest

import "maps"

// Rules describes the shape that a module must have. Directories and files are
// named relative to the module's root, with slashes; the root is ".".
type Rules struct {
	Module string // the module path of the imports that are its own

	Packages   map[string]Package // by directory
	ThirdParty []ThirdParty

	// Goroutines are the files that may have a go statement, each with the
	// reason why its goroutines end and cannot take the process with them.
	Goroutines map[string]string

	NoMutex []string // directories, with all below them, that have actors and no locks

	// Limits in lines for files that are not tests. P90Func is what nine of ten
	// functions of the module must keep.
	MaxFile, MaxFunc, P90Func int
}

// Package says what the files of one package, tests aside, may import.
type Package struct {
	Imports []string // packages of the module
	StdOnly bool     // nothing of a third party, not even through Imports
}

// ThirdParty says which packages may import a module of somebody else.
type ThirdParty struct {
	Path     string   // module path; it covers the packages below it
	Packages []string // directories
	Tests    bool     // tests of any package may, too
}

// Project returns the rules of this repository: architecture.md's import rule
// and rules for the code.
func Project() Rules {
	return Rules{
		Module:     "github.com/magne-actors/magne-actors",
		Packages:   packages(),
		ThirdParty: thirdParty(),
		Goroutines: goroutines(),
		NoMutex:    []string{"actors", "supervisor"},
		MaxFile:    400, MaxFunc: 60, P90Func: 30,
	}
}

func packages() map[string]Package {
	rows := map[string]Package{
		".": {StdOnly: true}, // documentation

		// What a user's handlers and children link.
		"task":          {StdOnly: true},
		"task/codec":    {Imports: []string{"task"}, StdOnly: true},
		"task/builtin":  {Imports: []string{"task"}, StdOnly: true},
		"task/httptask": {Imports: []string{"task"}, StdOnly: true},
		"broker":        {StdOnly: true},

		// Brokers know nothing of actors.
		"broker/amqp":       {Imports: []string{"broker"}},
		"broker/brokertest": {Imports: []string{"broker"}},

		// The runtime. It knows brokers by their seam and codecs by task.Codec.
		"supervisor": {Imports: []string{"internal/restart"}},
		"actors":     {Imports: []string{"broker", "internal/credit", "internal/ladder", "internal/osproc", "internal/quarantine", "internal/restart", "supervisor", "supervisor/process", "task"}},

		// Pure decisions.
		"internal/credit":  {StdOnly: true},
		"internal/ballast": {StdOnly: true},
		"internal/restart": {StdOnly: true},
		"internal/ladder":  {Imports: []string{"broker"}, StdOnly: true},

		// What is around the runtime.
		"config": {Imports: []string{
			"actors", "broker", "broker/amqp", "broker/embedded", "internal/osproc", "internal/spool", "supervisor", "supervisor/process", "task", "task/builtin", "task/codec", "task/httptask",
		}},
		"internal/control":    {Imports: []string{"supervisor"}},
		"internal/treeview":   {Imports: []string{"internal/control", "supervisor"}},
		"internal/top":        {Imports: []string{"internal/control", "internal/treeview", "supervisor"}},
		"internal/testenv":    {StdOnly: true},
		"internal/fakebroker": {Imports: []string{"broker", "internal/ladder"}, StdOnly: true},
		"internal/archtest":   {StdOnly: true},
		"internal/clienttest": {StdOnly: true}, // tests only
		"internal/e2e":        {StdOnly: true}, // tests only

		// Programs.
		"cmd/magne-actors": {Imports: []string{
			"actors", "broker", "broker/amqp", "broker/embedded", "config", "internal/ballast", "internal/conformance", "internal/control", "internal/copies", "internal/dlq", "internal/doctor", "internal/health", "internal/ladder", "internal/management", "internal/metrics", "internal/sdnotify", "internal/spool", "internal/top", "internal/topology", "internal/treeview", "supervisor", "supervisor/process", "task", "task/codec",
		}},
		"internal/copies":   {Imports: []string{"internal/control", "internal/health", "internal/osproc", "supervisor"}},
		"internal/metrics":  {Imports: []string{"actors", "supervisor"}},
		"internal/health":   {Imports: []string{"actors", "supervisor"}},
		"internal/sdnotify": {},
		"bench": {Imports: []string{
			"actors", "broker", "broker/amqp", "broker/embedded", "config", "internal/ballast", "internal/ladder", "internal/spool", "internal/testenv", "supervisor", "supervisor/process", "task", "task/builtin", "task/codec",
		}},
		"scripts/stat":   {Imports: []string{"internal/archtest"}},
		"examples/embed": {Imports: []string{"actors", "broker", "broker/amqp", "config", "task", "task/codec"}},
	}
	maps.Copy(rows, embeddedPackages())
	maps.Copy(rows, dedupPackages())
	maps.Copy(rows, processPackages())
	maps.Copy(rows, copyPackages())
	maps.Copy(rows, faultPackages())
	maps.Copy(rows, surveyPackages())
	return rows
}

// faultPackages are about brokers that tests own, and break.
func faultPackages() map[string]Package {
	return map[string]Package{
		"scripts/node":    {Imports: []string{"internal/testenv"}},
		"internal/faults": {Imports: []string{"internal/control", "internal/testenv", "internal/treeview"}},
		"scripts/chaos":   {Imports: []string{"internal/faults"}},
	}
}

// copyPackages deal with copies of messages: dead letters, and what waits for the
// broker, as all that is published may.
func copyPackages() map[string]Package {
	return map[string]Package{
		"internal/dlq":   {Imports: []string{"broker", "broker/amqp", "internal/ladder"}},
		"internal/spool": {Imports: []string{"broker", "broker/amqp", "internal/dlq", "internal/ladder"}},

		"broker/publisher": {Imports: []string{"broker", "internal/ladder", "internal/restart", "internal/spool", "task", "task/codec"}},
		"examples/publish": {Imports: []string{"broker", "broker/amqp", "broker/publisher", "task"}},
	}
}

// processPackages are what worker processes are made of, on both ends.
func processPackages() map[string]Package {
	return map[string]Package{
		"internal/quarantine":  {StdOnly: true},
		"internal/wire":        {StdOnly: true},
		"internal/osproc":      {},
		"internal/conformance": {Imports: []string{"internal/osproc", "internal/wire"}},
		"supervisor/process":   {Imports: []string{"internal/osproc", "internal/restart", "internal/wire", "supervisor", "task"}},
		"sdk/child":            {Imports: []string{"internal/wire", "task"}, StdOnly: true},
		"examples/go-child":    {Imports: []string{"sdk/child", "task"}, StdOnly: true},
	}
}

// surveyPackages look at a broker from outside.
func surveyPackages() map[string]Package {
	return map[string]Package{
		"internal/management": {StdOnly: true},
		"internal/doctor":     {Imports: []string{"broker/amqp", "config", "internal/ladder", "internal/management", "internal/topology"}},
		"internal/topology": {Imports: []string{
			"broker", "broker/amqp", "config", "internal/ladder", "internal/management", "task/codec",
		}},
	}
}

// dedupPackages are stores that processes share; who does not import them does not link
// their clients.
func dedupPackages() map[string]Package {
	return map[string]Package{
		"task/dedup":            {Imports: []string{"task"}, StdOnly: true},
		"task/dedup/sqlstore":   {Imports: []string{"task/dedup"}, StdOnly: true},
		"task/dedup/redisstore": {Imports: []string{"task/dedup"}},
		"internal/doctest":      {StdOnly: true}, // tests only
		"internal/deduptest":    {Imports: []string{"task/dedup"}, StdOnly: true},
	}
}

// embeddedPackages are the parts of the embedded broker, each of which is pure or
// owns one thing.
func embeddedPackages() map[string]Package {
	return map[string]Package{
		"broker/embedded": {Imports: []string{
			"broker/embedded/internal/engine", "broker/embedded/internal/store", "broker/embedded/internal/wire",
		}},
		"broker/embedded/internal/engine": {Imports: []string{
			"broker/embedded/internal/deadletter", "broker/embedded/internal/queueargs", "broker/embedded/internal/routing",
			"broker/embedded/internal/store", "broker/embedded/internal/wire",
		}, StdOnly: true},
		"broker/embedded/internal/deadletter": {Imports: []string{"broker/embedded/internal/wire"}, StdOnly: true},
		"broker/embedded/internal/queueargs":  {Imports: []string{"broker/embedded/internal/routing", "broker/embedded/internal/wire"}, StdOnly: true},
		"broker/embedded/internal/routing":    {Imports: []string{"broker/embedded/internal/wire"}, StdOnly: true},
		"broker/embedded/internal/difftest":   {StdOnly: true}, // tests only
		"broker/embedded/internal/rabbit43":   {StdOnly: true}, // tests only
		"broker/embedded/internal/store":      {StdOnly: true},
		"broker/embedded/internal/wire":       {StdOnly: true},
		"broker/embedded/internal/wire/gen":   {StdOnly: true},
	}
}

func thirdParty() []ThirdParty {
	return []ThirdParty{
		{Path: "github.com/asynkron/protoactor-go", Packages: []string{"actors", "supervisor", "supervisor/process"}},
		{Path: "github.com/rabbitmq/amqp091-go", Packages: []string{"broker/amqp", "bench", "internal/faults"}, Tests: true},
		{Path: "github.com/Shopify/toxiproxy/v2", Packages: []string{"internal/faults"}},
		{Path: "github.com/rs/zerolog", Packages: []string{"internal/faults"}}, // toxiproxy wants one
		{Path: "github.com/spf13/viper", Packages: []string{"config"}},
		{Path: "github.com/go-viper/mapstructure/v2", Packages: []string{"config"}},
		{Path: "go.yaml.in/yaml/v3", Packages: []string{"config", "cmd/magne-actors"}, Tests: true},
		{Path: "github.com/agext/levenshtein", Packages: []string{"config"}},
		{Path: "charm.land/bubbletea/v2", Packages: []string{"internal/top"}},
		{Path: "github.com/charmbracelet/x/ansi", Packages: []string{"internal/top"}},
		{Path: "github.com/spf13/cobra", Packages: []string{"cmd/magne-actors"}},
		{Path: "github.com/schollz/progressbar/v3", Packages: []string{"cmd/magne-actors"}},
		{Path: "github.com/mattn/go-isatty", Packages: []string{"cmd/magne-actors", "bench"}},
		{Path: "github.com/google/uuid", Packages: []string{"broker/publisher", "cmd/magne-actors"}},
		{Path: "github.com/prometheus/procfs", Packages: []string{"bench"}},
		{Path: "github.com/prometheus/client_golang", Packages: []string{"internal/metrics"}, Tests: true},
		{Path: "github.com/prometheus/client_model", Packages: []string{"internal/metrics"}},
		{Path: "github.com/prometheus/common", Packages: []string{"internal/metrics"}, Tests: true},
		{Path: "github.com/coreos/go-systemd/v22", Packages: []string{"internal/sdnotify"}, Tests: true},
		{Path: "golang.org/x/crypto", Packages: []string{"broker/embedded"}},
		{Path: "golang.org/x/sys", Packages: []string{"bench", "internal/control", "internal/osproc", "internal/sdnotify"}},
		{Path: "golang.org/x/term", Packages: []string{"cmd/magne-actors", "bench"}, Tests: true},

		{Path: "github.com/cockroachdb/datadriven", Tests: true},
		{Path: "github.com/creack/pty", Tests: true},
		{Path: "github.com/jackc/pgx/v5", Tests: true},
		{Path: "github.com/hinshun/vt10x", Tests: true},
		{Path: "github.com/google/go-cmp", Packages: []string{"broker/brokertest"}, Tests: true},
		{Path: "github.com/rogpeppe/go-internal", Tests: true},
		{Path: "github.com/santhosh-tekuri/jsonschema/v6", Tests: true},
		{Path: "github.com/redis/go-redis/v9", Packages: []string{"task/dedup/redisstore"}, Tests: true},
		{Path: "github.com/alicebob/miniredis/v2", Tests: true},
		{Path: "modernc.org/sqlite", Tests: true},
		{Path: "go.uber.org/goleak", Tests: true},
		{Path: "pgregory.net/rapid", Tests: true},
	}
}

func goroutines() map[string]string {
	rows := map[string]string{
		"task/dedup/middleware.go": "the renewal of a lease; ends with the handler, which waits for it, and recovers",

		"internal/deduptest/suite.go": "test code: many who begin a key at once; the test waits for them",

		"actors/pool.go":   "guard: the one way to run blocking code beside an actor; turns a panic or Goexit into a call",
		"actors/worker.go": "the tasks, and the OS thread of a thread worker; run recovers and reports by defer, with the error preset",

		"broker/brokertest/faults.go":  "test code: faults beside the traffic; each test waits for its goroutines",
		"broker/brokertest/publish.go": "test code: publishers; each test waits for them",
		"broker/brokertest/settle.go":  "test code: consumers beside a publisher; each test waits for them",

		"broker/amqp/coalesce.go":  "writes what was buffered; ends when the connection is closed",
		"broker/amqp/consumer.go":  "pumps, watchers and the settler of one consumer, counted in its session's WaitGroup; end when it dies",
		"broker/amqp/dialer.go":    "closes a connection, which the library does with a deadline only in its own time",
		"broker/amqp/publisher.go": "confirms and blocked connections of one session, counted in its WaitGroup; end when it dies",
		"broker/amqp/session.go":   "the watch over one connection, counted in the session's WaitGroup; ends when it dies",

		"broker/publisher/guard.go":     "guard: a dial, the sender, the flush and the end of one session; end with it. A panic or Goexit is the end of it",
		"broker/publisher/publisher.go": "the owner, which ends at Close, and answers whoever waits however it ends; the wait for what guard runs",

		"broker/embedded/broker.go": "Close of all connections at once; each ends with its deadline",
		"broker/embedded/conn.go":   "the writer of a connection, counted in it; ends with it",
		"broker/embedded/serve.go":  "connections and the sweeper, counted in the broker's WaitGroup, and the end of one Serve; end at Close",

		"broker/embedded/internal/engine/dead.go":   "the rest of a queue's dead letters; ends with them, and Close waits for it",
		"broker/embedded/internal/store/recover.go": "the committer of a store; ends at Close, or when the disk fails and then Close comes",

		"supervisor/dispatcher.go": "where protoactor runs the actors, at most maxIdle of them idle; protoactor recovers",
		"supervisor/service.go":    "the blocking function of a service; recovers and reports by defer",

		"supervisor/process/child_run.go": "guard: the life, the reader and the writer of one process; end with it. A panic or Goexit ends the process",

		"internal/osproc/host_linux.go": "the spawner, which forks from one OS thread; ends at Close. Nothing of a user's runs on it",
		"internal/osproc/proc_linux.go": "the waiter and the readers of the log of a process; end with it. The readers run a function of a user's and recover",

		"supervisor/process/oneshot_job.go": "the pipes of one process, until it is dead; nothing of a user's runs there",

		"sdk/child/serve.go": "the reader, which ends with Serve, and the tasks, each of which replies by defer with the error preset; the Mux recovers",

		"internal/copies/guard.go": "guard: requests to copies, and what follows one; end with it, and are waited for",

		"internal/spool/spool.go": "the committer, which alone changes the files; ends at Close, and answers whoever waits however it ends",

		"internal/faults/instance.go": "test code: waits for the program; close kills it and waits",
		"internal/faults/load.go":     "test code: the publishers; stop waits for them",
		"internal/faults/sink.go":     "test code: the HTTP server; close waits for it",
		"internal/faults/tap.go":      "test code: the proxy's listener and two goroutines for each connection; down waits for them",
		"internal/faults/watch.go":    "test code: looks at the program; stop waits for it",

		"internal/control/server.go": "one snapshot at a time; recovers, and ends when the Source returns",
		"internal/testenv/run.go":    "waits for the node of a test; ends when it is killed, at Stop at the latest",
		"scripts/node/main.go":       "waits for the end of standard input; ends with the process at the latest",
	}
	maps.Copy(rows, programGoroutines())
	maps.Copy(rows, benchGoroutines())
	return rows
}

// benchGoroutines are those of the benchmarks.
func benchGoroutines() map[string]string {
	return map[string]string{
		"bench/child.go":         "the measured system; ends when everything is settled, and the process with it",
		"bench/brokers_child.go": "the embedded broker, until standard input ends",
		"bench/processes.go":     "the raw loop's workers, of which there are as many as processes; end with the last task",
		"bench/stop.go":          "waits for the measured instance, which is killed with the context at the latest",
		"bench/raw.go":           "the raw loop's tasks, one goroutine for each, as the loop that it stands for has it",
	}
}

// programGoroutines are those of the commands.
func programGoroutines() map[string]string {
	return map[string]string{
		"cmd/magne-actors/broker.go":         "the listener and the control socket; both end with the context, and are waited for",
		"cmd/magne-actors/kept.go":           "a server that outlives its node of the tree; recovers, ends with the keeper's context, and is waited for",
		"cmd/magne-actors/publish_source.go": "reads --from, which may block; ends with the context of the command, or with the process",
		"cmd/magne-actors/publish_spool.go":  "watches for a broker that blocks; the function that started it waits for its end",
		"examples/publish/main.go":           "reads standard input, which may block; ends with it, or with the program",
		"cmd/magne-actors/spool.go":          "watches the progress of a drain; the function that started it waits for its end",
		"cmd/magne-actors/queue_change.go":   "reads the answer to a question; ends with it, or with the process",
		"cmd/magne-actors/reload.go":         "the reloads, one after the other; recovers, and ends when the System has",
		"cmd/magne-actors/run.go":            "answers the signals; ends when the System has",
	}
}
