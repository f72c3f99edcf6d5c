package config_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/magne-actors/magne-actors/config"
	"github.com/magne-actors/magne-actors/supervisor"
)

// TestParse runs testdata/parse/*.txt:
//
//	parse [NAME=VALUE ...]     errors, or ok, and the warnings
//	show [NAME=VALUE ...]      the same, and the values of the pools
func TestParse(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	write(t, secret, "amqp://u:hunter2@rabbit/\n", 0o600)
	write(t, filepath.Join(dir, "open"), "hunter2", 0o644)
	write(t, filepath.Join(dir, "empty"), "", 0o600)
	datadriven.Walk(t, "testdata/parse", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var environ []string
			for _, arg := range d.CmdArgs {
				environ = append(environ, arg.Key+"="+strings.ReplaceAll(strings.Join(arg.Vals, ","), "DIR", dir))
			}
			f, err := config.ParseBare(strings.NewReader(strings.ReplaceAll(d.Input, "DIR", dir)), "magne.yaml", environ)
			out := report(f, err)
			if d.Cmd == "show" {
				out += show(f)
			}
			if strings.Contains(out, "hunter2") {
				t.Errorf("%s: the secret is shown:\n%s", d.Pos, out)
			}
			return strings.ReplaceAll(out, dir, "DIR")
		})
	})
}

// report is what check would say.
func report(f *config.File, err error) string {
	var b strings.Builder
	if _, optErr := f.Options(nil, nil); optErr != nil {
		err = optErr
	}
	if err != nil {
		fmt.Fprintln(&b, err)
		return b.String()
	}
	fmt.Fprintln(&b, "ok")
	for _, w := range f.Warnings() {
		fmt.Fprintln(&b, "warning:", w)
	}
	return b.String()
}

func show(f *config.File) string {
	var b strings.Builder
	fmt.Fprintf(&b, "broker %s %v, shutdown %v, socket %q\n", f.Broker.Address(), f.Broker.URL, f.Shutdown, f.Control.Socket)
	for _, p := range f.Pools {
		fmt.Fprintf(&b, "%s: queue=%s codec=%s mode=%s workers=%d slots=%d high=%d low=%d timeout=%v max_body=%d\n",
			p.Name, p.Queue, p.Codec, p.Mode, p.MaxWorkers(), p.PerWorker(), p.Watermarks.High, p.Watermarks.Low, p.Timeout.Hard, p.MaxBody)
		if o := p.Process; o != nil {
			fmt.Fprintf(&b, "  process %q inherits %q, at least %d, shutdown %v, kill after %v, scope %s, transport %q, secrets %v\n",
				o.Command, o.EnvInherit, p.MinWorkers(), p.Shutdown, p.Timeout.KillAfter, o.KillScope, o.Transport, o.Secrets)
		}
		for _, name := range p.TaskNames() {
			task := p.Tasks[name]
			if task.HTTP == nil {
				fmt.Fprintf(&b, "  %s: builtin %s\n", name, task.Builtin)
				continue
			}
			fmt.Fprintf(&b, "  %s: http %s %v %v\n", name, task.HTTP.Method, task.HTTP.URL, task.HTTP.Headers)
		}
	}
	return b.String()
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// good returns the files of testdata/good by name.
func good(t *testing.T) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatal("no files:", err)
	}
	dir := t.TempDir()
	selfSigned(t, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	files := map[string][]byte{"Example": config.Example()}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(p)] = bytes.ReplaceAll(b, []byte("DIR"), []byte(dir))
	}
	return files
}

// goodEnviron is what everything.yaml needs.
func goodEnviron() []string { return []string{"HOME=/home/app", "DATABASE=hunter2", "PATH=/bin"} }

func everything(t *testing.T) *config.File {
	t.Helper()
	f, err := config.ParseAsRoot(bytes.NewReader(good(t)["everything.yaml"]), "everything.yaml", goodEnviron())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestGoodFilesHaveNeitherErrorsNorWarnings(t *testing.T) {
	for name, text := range good(t) {
		f, err := config.ParseAsRoot(strings.NewReader(string(text)), name, goodEnviron())
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		for _, w := range f.Warnings() {
			t.Errorf("warning: %v", w)
		}
		if _, err := f.Options(nil, nil); err != nil {
			t.Errorf("%s: Options: %v", name, err)
		}
	}
}

func TestEveryKeyReachesTheFile(t *testing.T) {
	got := everything(t)
	want := &config.File{
		Version: 1,
		Broker: config.Broker{
			URL: "amqps://user:p%40ss@rabbit.example:5671/%2Fprod", URLs: []config.Secret{"amqps://user:p%40ss@rabbit2.example:5671/%2Fprod"}, AckTimeout: 45 * time.Minute,
			Management: "https://rabbit.example:15671/", Heartbeat: 20 * time.Second,
			TLS:  config.TLS{ServerName: "rabbit", MinVersion: "1.2"},
			Auth: config.Auth{Mechanism: "plain", User: "jane", Password: "a:b@c"}, RequireTLS: true, PublishWindow: 77,
			Spool: config.Spool{Dir: got.Broker.Spool.Dir, MaxBytes: 1 << 20},
			Embedded: config.Embedded{
				Listen: "0.0.0.0:5673", Dir: "/var/lib/magne", Fsync: 5 * time.Millisecond, ConsumerTimeout: time.Hour, Heartbeat: 30 * time.Second,
				BodyMemory: 1 << 30, Users: map[string]config.Secret{"Alice.B": "$2b$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"},
				TLS: config.Certificate{CertFile: "cert.pem", KeyFile: "key.pem"},
				Limits: config.EmbeddedLimits{
					Connections: 1, Channels: 2, Consumers: 3, Queues: 4, Frame: 5 << 10, Message: 6 << 20, Transient: 7 << 20, Buffer: 8 << 10,
				},
			},
			Reconnect: config.Backoff{Initial: 200 * time.Millisecond, Factor: 3, Max: time.Minute, Jitter: 0.25, ResetAfter: 20 * time.Second},
		},
		Control: config.Control{Socket: "/run/magne/a.sock", Listen: "10.0.0.1:9671", Token: "0123456789abcdef", TLS: got.Control.TLS},
		Metrics: config.Metrics{Listen: ":9670"}, Shutdown: 2 * time.Minute, Processes: 3,
		Pools: []config.Pool{{
			Name: "Mail.Out", Queue: "mail", Codec: "json", Declare: "passive", Mode: "thread", Workers: 4, Slots: 1,
			Watermarks: config.Watermarks{High: 40, Low: 10}, Timeout: config.Timeout{Hard: 90 * time.Second}, AbandonAfter: time.Second, MaxBody: 2_000_000,
			Retry:     everyRetry(),
			Intensity: 7, Period: 30 * time.Second, OnPanic: "crash", Dedup: "off", OnExhausted: "escalate", Restart: "temporary", Shutdown: supervisor.BrutalKill,
			Tasks: map[string]config.Task{
				"send.Mail": {Builtin: "sleep"},
				"Notify": {HTTP: &config.HTTP{
					URL: "https://hooks.example/{task}?id={id}", Method: "PUT",
					Headers: map[string]config.Secret{"X-Token": "abc", "x-other": "d e f"},
				}},
			},
		}, processPool(), oneshotPool()},
	}
	want.Supervision.Root = config.Supervisor{Strategy: "one_for_all", Period: 10 * time.Second}
	want.Supervision.Pools = config.Supervisor{Strategy: "one_for_all", Intensity: 2, Period: 20 * time.Second, Shutdown: "infinity"}
	want.Supervision.Defaults.Restart, want.Supervision.Defaults.Shutdown = "transient", 9*time.Second
	want.Supervision.Defaults.Backoff = config.Backoff{Initial: 50 * time.Millisecond, Factor: 1.5, Max: 10 * time.Second, Jitter: 0.1, ResetAfter: time.Minute}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(config.File{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if dir := got.Broker.Spool.Dir; filepath.Base(dir) != "spool" {
		t.Errorf("broker.spool.dir: %s", dir)
	}
	if c := got.Control.TLS; filepath.Base(c.CertFile) != "cert.pem" || filepath.Base(c.KeyFile) != "key.pem" {
		t.Errorf("control.tls: %+v", c)
	}
}

// processPool and oneshotPool are those of everything.yaml.
func processPool() config.Pool {
	return config.Pool{
		Name: "resize", Queue: "RESIZE", Codec: "magne", Declare: "create", Mode: "process",
		Watermarks: config.Watermarks{High: 32, Low: 16},
		Timeout:    config.Timeout{Soft: 5 * time.Second, Hard: 6 * time.Second, KillAfter: time.Second, DumpSignal: "ABRT"},
		MaxBody:    1 << 20, Retry: usualRetry(), Intensity: 5, Period: time.Minute, OnPanic: "fail", Dedup: "process", OnExhausted: "park", Restart: "transient", Shutdown: 9 * time.Second,
		Tasks: map[string]config.Task{},
		Process: &config.Process{
			Command: []string{"python3", "-u", "worker.py", "5"}, CWD: "/srv/app",
			Env: map[string]string{"PYTHONUNBUFFERED": "1", "Empty": ""}, EnvInherit: []string{"HOME", "NOT_SET"},
			Secrets: map[string]config.ProcessSecret{"DB_PASSWORD": {Env: "DATABASE", Value: "hunter2"}},
			User:    "app", Group: "1000", Nice: -5, OOMScoreAdj: 500,
			Rlimits: map[string]uint64{"nofile": 1024, "core": math.MaxUint64, "as": 2 << 30},
			Cgroup:  config.Cgroup{MemoryMax: 512 << 20, PIDsMax: 64, CPUMax: 1.5}, KillScope: "cgroup", Transport: "stdio",
		},
		MaxLost: 4, Logs: config.Logs{MaxLine: 1 << 10, Rate: 0.5, Burst: 10, Parse: "text", Tail: 5},
		Size:        &config.Size{Min: 2, Max: 8, Spare: 1, Mode: "dynamic", IdleTTL: 30 * time.Second, ScaleUpAfter: 100 * time.Millisecond, MaxStarting: 2},
		Quarantine:  config.Quarantine{Slots: 2},
		Concurrency: 3, Pipeline: 4, StartTimeout: 20 * time.Second, Watchdog: 7 * time.Second,
		Recycle: config.Recycle{MaxTasks: 1000, MaxRSS: 300 << 20, MaxRSSHard: 450 << 20, Lifetime: time.Hour, Jitter: 0.2},
		Reload:  config.Reload{Surge: 1, MaxUnready: 3},
	}
}

func oneshotPool() config.Pool {
	return config.Pool{
		Name: "script", Queue: "script", Codec: "json", Declare: "create", Mode: "oneshot", Workers: 1, Slots: 2,
		Watermarks: config.Watermarks{High: 2, Low: 1}, Timeout: config.Timeout{Hard: 8 * time.Second, KillAfter: 3 * time.Second},
		MaxBody: 1 << 20, Retry: usualRetry(), Intensity: 5, Period: time.Minute, OnPanic: "fail", Dedup: "process", OnExhausted: "park", Restart: "transient", Shutdown: supervisor.Infinity,
		Tasks: map[string]config.Task{},
		Process: &config.Process{
			Command: []string{"./script.sh"}, Env: map[string]string{}, EnvInherit: []string{"PATH", "LANG", "TZ"},
			Secrets: map[string]config.ProcessSecret{}, Rlimits: map[string]uint64{}, KillScope: "auto",
		},
		MaxLost: 3, Logs: config.Logs{MaxLine: 16 << 10, Rate: 500, Burst: 1000, Parse: "auto", Tail: 64},
	}
}

func usualRetry() config.Retry {
	return config.Retry{
		MaxAttempts: 5, Backoff: config.Backoff{Initial: time.Second, Factor: 2, Max: 30 * time.Second, Jitter: 0.5},
		Delay: "auto", Hold: 2 * time.Second, MaxSnoozes: 100, RetryOn: []string{"*"}, DiscardOn: []string{},
	}
}

func TestLoadOfNoFile(t *testing.T) {
	f, err := config.Load(filepath.Join(t.TempDir(), "none.yaml"))
	if f != nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load: %v, %v", f, err)
	}
}

func everyRetry() config.Retry {
	r := config.Retry{
		MaxAttempts: 3, Backoff: config.Backoff{Initial: 2 * time.Second, Factor: 4, Max: time.Minute},
		Delay: "durable", Hold: 500 * time.Millisecond, RetryOn: []string{"timeout", "http_5*"}, DiscardOn: []string{"ValueError"}, MaxSnoozes: 7,
	}
	notify := r
	notify.MaxAttempts, notify.Jitter, notify.Delay, notify.RetryOn = 9, 0.25, "memory", []string{"*"}
	r.Tasks = map[string]config.Retry{"Notify": notify}
	return r
}
