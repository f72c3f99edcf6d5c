package doctest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/unit"

	"github.com/magne-actors/magne-actors/config"
	"github.com/magne-actors/magne-actors/internal/testenv"
)

const unitFile = "deploy/systemd/magne-actors.service"

// serviceOptions are the options of the unit's section Service, the last value of
// each.
func serviceOptions(t *testing.T) map[string]string {
	t.Helper()
	options, err := unit.DeserializeOptions(strings.NewReader(read(t, unitFile)))
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, o := range options {
		if o.Section == "Service" {
			values[o.Name] = o.Value
		}
	}
	return values
}

// What the unit promises to operators, and what run needs of it.
func TestUnit(t *testing.T) {
	got := serviceOptions(t)
	for name, want := range map[string]string{
		"Type": "notify-reload", "NotifyAccess": "main", "KillMode": "mixed", "Delegate": "yes", "Restart": "always",
		"RestartPreventExitStatus": "2", "TimeoutStartSec": "infinity", "OOMPolicy": "continue",
		"DynamicUser": "yes", "StateDirectory": "magne-actors", "RuntimeDirectory": "magne-actors",
		"NoNewPrivileges": "yes", "CapabilityBoundingSet": "", "ProtectSystem": "strict", "ProtectHome": "yes",
		"PrivateTmp": "yes", "PrivateDevices": "yes", "RestrictNamespaces": "yes", "LockPersonality": "yes",
		"SystemCallArchitectures": "native", "SystemCallFilter": "@system-service",
	} {
		if value, set := got[name]; !set || value != want {
			t.Errorf("%s=%s, want %s", name, value, want)
		}
	}
	for _, name := range []string{"ProtectControlGroups", "MemoryDenyWriteExecute", "ProcSubset"} {
		if _, set := got[name]; set {
			t.Errorf("%s is set: worker processes do not bear it", name)
		}
	}
	if _, err := time.ParseDuration(got["WatchdogSec"]); err != nil {
		t.Errorf("WatchdogSec=%s: %v", got["WatchdogSec"], err)
	}
}

// systemd must not kill what is about to end: 10 s after shutdown are for the last
// acks and the embedded broker.
func TestUnitWaitsForTheShutdown(t *testing.T) {
	f, err := config.Parse(strings.NewReader("version: 1\npools: {work: {tasks: {hello: {builtin: echo}}}}\n"), "magne.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	limit, err := time.ParseDuration(serviceOptions(t)["TimeoutStopSec"])
	if err != nil || limit < f.Shutdown+10*time.Second {
		t.Errorf("TimeoutStopSec is %v (%v), shutdown is %v by default", limit, err, f.Shutdown)
	}
}

// systemd itself has nothing against the unit. An older one does not know
// notify-reload, as the unit says.
func TestUnitIsVerified(t *testing.T) {
	analyze := testenv.Program(t, "systemd-analyze")
	text := strings.ReplaceAll(read(t, unitFile), "/usr/local/bin/magne-actors", "/bin/true")
	path := filepath.Join(t.TempDir(), "magne-actors.service")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", path).CombinedOutput()
	lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(string(out)), "\n"), func(line string) bool {
		return line == "" || regexp.MustCompile(`service type, ignoring: notify-reload$`).MatchString(line) || !strings.Contains(line, "magne-actors.service")
	})
	if err != nil || len(lines) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
