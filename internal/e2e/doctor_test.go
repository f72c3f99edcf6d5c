package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/magne-actors/magne-actors/internal/testenv"
)

// diagnosis is what doctor prints with -o json.
type diagnosis struct {
	Errors, Warnings, Unknown int
	Findings                  []finding
}

type finding struct {
	Severity, Check, What, Do, Path, Source string
	Line                                    int
}

// says fails the test unless there is such a finding, and returns it.
func (d *diagnosis) says(t testing.TB, severity, check, what string) finding {
	t.Helper()
	i := slices.IndexFunc(d.Findings, func(f finding) bool {
		return f.Severity == severity && f.Check == check && strings.Contains(f.What, what)
	})
	if i < 0 {
		t.Errorf("no %s (%s) with %q: %+v", severity, check, what, d.Findings)
		return finding{}
	}
	return d.Findings[i]
}

// TestDoctor: a node that has each bad setting, and then none.
func TestDoctor(t *testing.T) {
	t.Parallel()
	node := testenv.Private(t, testenv.Options{Management: true, Config: "consumer_timeout = 60000"})
	r := dial(t, node.URL)
	r.plain("other", nil) // a classic queue where a quorum queue is wanted
	r.plain("taken", nil)
	eval(t, node, `rabbit_policy:set(<<"/">>, <<"short">>, <<"^(work|magne)">>, [{<<"max-length">>, 10}, {<<"overflow">>, <<"drop-head">>}], 1, <<"queues">>, <<"test">>),
		rabbit_auth_backend_internal:add_user(<<"poor">>, <<"hunter2">>, <<"test">>),
		rabbit_auth_backend_internal:set_permissions(<<"poor">>, <<"/">>, <<"^$">>, <<"^magne">>, <<"^other$">>, <<"test">>).`)
	environment, err := node.Ctl(t.Context(), "environment", "--formatter=json")
	if err != nil {
		t.Fatal(err)
	}
	a := setup{url: node.URL, pools: `
work: {timeout: 1m, tasks: {hello: {builtin: echo}}}
other: {declare: passive, timeout: 10s, tasks: {bye: {builtin: echo}}}
taken: {timeout: 10s, tasks: {see: {builtin: echo}}}
`}.write(t)
	file := filepath.Join(a.dir, "env.json")
	if err := os.WriteFile(file, []byte(environment), 0o600); err != nil {
		t.Fatal(err)
	}
	look := func(code int, env []string, args ...string) diagnosis {
		t.Helper()
		got := magneIn(t, a.dir, env, nil, append([]string{"doctor", "-c", a.config, "-o", "json"}, args...)...).want(t, code)
		if strings.Contains(got.stdout+got.stderr, "hunter2") {
			t.Errorf("a password is shown: %s", got.stdout)
		}
		return decode[diagnosis](t, got.stdout)
	}
	d := look(1, nil, "--management", node.Management, "--environment", file)
	if f := d.says(t, "error", "consumer_timeout", "pool work may be unsettled for 1m0s"); f.Path != "pools.work.timeout" || f.Line != 7 {
		t.Errorf("place: got %+v", f)
	}
	d.says(t, "error", "topology", "queue taken exists with other arguments: 406")
	d.says(t, "error", "policy", "queue magne.v1.dead.work loses its oldest dead letters beyond max-length 10")
	d.says(t, "warning", "queue_type", "queue other is a classic one")
	d.says(t, "info", "clock", "agree")
	d.says(t, "error", "topology", "queue magne.v1.dead.other is missing")

	// A user who lacks rights, and nobody who tells what AMQP does not.
	d = look(1, []string{"MAGNE_BROKER_URL=" + as(t, node.URL, "poor:hunter2", "")})
	d.says(t, "error", "permission", `read on queue "work", needed to consume: 403`)
	d.says(t, "error", "permission", `write on exchange "amq.default"`)
	d.says(t, "error", "topology", "queue work is missing, and this user may not make it")
	d.says(t, "unknown", "management", "were not checked")
	d.says(t, "unknown", "consumer_timeout", "")
	d = look(1, nil, "--management", strings.Replace(node.Management, "guest:guest", "poor:hunter2", 1))
	d.says(t, "unknown", "management", "refused user")

	// The remedies that it names.
	eval(t, node, `rabbit_policy:delete(<<"/">>, <<"short">>, <<"test">>).`)
	for _, name := range []string{"other", "taken"} {
		magneIn(t, a.dir, nil, nil, "queue", "delete", "--yes", "-c", a.config, name).want(t, 0)
	}
	magneIn(t, a.dir, nil, nil, "topology", "apply", "-c", a.config).want(t, 0)
	healthy := strings.Replace(environment, `"consumer_timeout":60000`, `"consumer_timeout":1800000`, 1)
	if err := os.WriteFile(file, []byte(healthy), 0o600); err != nil {
		t.Fatal(err)
	}
	if d := look(0, nil, "--management", node.Management, "--environment", file); d.Errors+d.Unknown != 0 {
		t.Errorf("after the remedies: got %+v", d)
	}

	if got := magneIn(t, a.dir, nil, nil, "doctor", "-c", a.config, "--environment", a.config).want(t, 2); !strings.Contains(got.stderr, "environment of the broker") {
		t.Errorf("an environment that is none: %s", got.stderr)
	}
	d = look(3, []string{fmt.Sprintf("MAGNE_BROKER_URL=amqp://guest:hunter2@%s/", freeAddress(t))})
	d.says(t, "error", "reachable", "refused")
	d = look(3, []string{"MAGNE_BROKER_URL=" + as(t, node.URL, "guest:hunter2", "")})
	d.says(t, "error", "login", "refused")
}

// TestDoctorEmbedded: without RabbitMQ, before and while an instance runs.
func TestDoctorEmbedded(t *testing.T) {
	t.Parallel()
	s := setup{pools: "work: {timeout: 10s, tasks: {hello: {builtin: echo}}}"}
	a := s.write(t)
	d := decode[diagnosis](t, magneIn(t, a.dir, nil, nil, "doctor", "-c", a.config, "-o", "json").want(t, 3).stdout)
	d.says(t, "error", "reachable", "refused")
	a.again(t, s)
	a.healthy()
	got := magneIn(t, a.dir, nil, nil, "doctor", "-c", a.config, "-o", "json").want(t, 0)
	d = decode[diagnosis](t, got.stdout)
	d.says(t, "info", "control", "an instance")
	if d.Errors+d.Warnings+d.Unknown != 0 {
		t.Errorf("got %s", got.stdout)
	}
	if text := magneIn(t, a.dir, nil, nil, "doctor", "-c", a.config).want(t, 0).stdout; !strings.Contains(text, "0 errors, 0 warnings, 0 unknown") {
		t.Errorf("text: %s", text)
	}
	a.stop()
	magneIn(t, a.dir, nil, strings.NewReader("pools: ["), "doctor", "-c", "-").want(t, 2)
}
