package e2e_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/magne-actors/magne-actors/internal/ladder"
	"github.com/magne-actors/magne-actors/internal/testenv"
)

// planned is what topology plan and apply print with -o json.
type planned struct {
	Product                                             string
	Create, Same, Differs, Accepted, Forbidden, Unknown int
	Blocked                                             bool
	Declared                                            *int
	Changes                                             []struct {
		Kind, Name, State, Why, Do string
		Differences                []struct{ Property string }
	}
}

// change returns what the plan says of a queue.
func (p *planned) queue(t testing.TB, name string) (state, why, do string) {
	t.Helper()
	for _, c := range p.Changes {
		if c.Kind == "queue" && c.Name == name {
			return c.State, c.Why, c.Do
		}
	}
	t.Fatalf("the plan has no queue %q: %+v", name, p)
	return
}

// vhost makes a virtual host of the test's own, with guest in it.
func vhost(t testing.TB, node *testenv.Node) (name, address string) {
	t.Helper()
	name = testenv.Name(t)
	eval(t, node, fmt.Sprintf(`rabbit_vhost:add(<<%q>>, <<"test">>), rabbit_auth_backend_internal:set_permissions(<<"guest">>, <<%[1]q>>, <<".*">>, <<".*">>, <<".*">>, <<"test">>).`, name))
	return name, as(t, node.URL, "guest:guest", name)
}

// eval runs Erlang on the node: a single call of rabbitmqctl takes seconds on a busy
// machine, whatever it is for.
func eval(t testing.TB, node *testenv.Node, erlang string) {
	t.Helper()
	if out, err := node.Ctl(t.Context(), "eval", erlang); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// as is the address of a broker for another user and virtual host.
func as(t testing.TB, address, user, vhost string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	name, password, _ := strings.Cut(user, ":")
	u.User, u.Path = url.UserPassword(name, password), "/"+vhost
	return u.String()
}

// TestTopology: what is missing is told, then made, then left alone.
func TestTopology(t *testing.T) {
	t.Parallel()
	t.Run("RabbitMQ", func(t *testing.T) {
		t.Parallel()
		_, address := vhost(t, testenv.SharedNode(t))
		testTopology(t, dial(t, address))
	})
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		testTopology(t, dial(t, startBroker(t).url))
	})
}

func testTopology(t *testing.T, r *rabbit) {
	s := setup{url: r.url, pools: "work: {declare: passive, retry: {delay: memory}, tasks: {hello: {builtin: echo}}}\n" +
		"other: {retry: {delay: memory}, tasks: {bye: {builtin: echo}}}"}
	a := s.write(t)
	command := func(code int, args ...string) planned {
		t.Helper()
		args = append(append([]string{"topology"}, args...), "-c", a.config, "-o", "json")
		return decode[planned](t, magneIn(t, a.dir, nil, nil, args...).want(t, code).stdout)
	}
	for range 2 { // a plan makes nothing
		if p := command(0, "plan"); p.Create != 10 || p.Same != 0 || p.Blocked {
			t.Fatalf("nothing is there: got %+v", p)
		}
	}
	command(1, "plan", "--exit-code")
	if p := command(0, "apply", "work"); *p.Declared != 6 {
		t.Errorf("apply for one pool: got %d declared", *p.Declared)
	}
	if p := command(0, "plan", "--exit-code", "work"); p.Same != 4 || p.Unknown != 2 {
		t.Errorf("plan of what was applied: got %+v", p)
	}
	if p := command(0, "apply", "--delays"); p.Create != 545+4 {
		t.Errorf("apply with delays: got %d to make", p.Create)
	}
	if p := command(0, "plan", "--delays", "--exit-code"); p.Create != 0 || p.Same != 2+4+9+106 {
		t.Errorf("plan with delays: got %d as they should be", p.Same)
	}

	// A worker that declares nothing, and a producer that does not use the default exchange.
	a.again(t, s)
	a.healthy()
	magneIn(t, a.dir, nil, nil, "publish", "-c", a.config, "--exchange", "magne.v1.x", "hello").want(t, 0)
	a.settled("work", 1)
	shown := decode[[]struct {
		Kind, Name string
		Arguments  map[string]any
		Consumers  *int
	}](t, magneIn(t, a.dir, nil, nil, "topology", "show", "-c", a.config, "-o", "json", "work").want(t, 0).stdout)
	if len(shown) != 6 || shown[3].Name != "work" || shown[3].Arguments["x-queue-type"] != "quorum" || *shown[3].Consumers != 1 {
		t.Errorf("show: got %+v", shown)
	}
	a.stop()

	// Others than are wanted: passive takes them as they are, and nothing is made when
	// something is in the way.
	for _, name := range []string{"work", "other"} {
		if _, err := r.channel().QueueDelete(name, false, false, false); err != nil {
			t.Fatal(err)
		}
		r.plain(name, nil)
	}
	r.remove("magne.v1.x")
	for _, verb := range []string{"plan", "apply", "plan"} {
		p := command(1, verb)
		if state, why, do := p.queue(t, "other"); state != "differs" || !strings.Contains(why, "406") || !strings.Contains(do, "other.v2") {
			t.Errorf("%s: queue other is %s, %q, %q", verb, state, why, do)
		}
		if state, _, _ := p.queue(t, "work"); state != "accepted" || !p.Blocked || p.Create == 0 {
			t.Errorf("%s: queue work is %s, blocked %v", verb, state, p.Blocked)
		}
	}
	magneIn(t, a.dir, nil, nil, "topology", "plan", "-c", a.config, "nobody").want(t, 2)
	magneIn(t, a.dir, nil, nil, "topology", "plan", "-c", a.config, "--url", "amqp://guest:guest@127.0.0.1:1/").want(t, 3)
	magneIn(t, a.dir, nil, nil, "topology", "show", "-c", a.config, "--all").want(t, 2)
}

// TestTopologyManagement: the API tells of bindings, and of each argument.
func TestTopologyManagement(t *testing.T) {
	t.Parallel()
	node := testenv.Private(t, testenv.Options{Management: true})
	r := dial(t, node.URL)
	a := setup{url: node.URL, pools: "work: {retry: {delay: memory}, tasks: {hello: {builtin: echo}}}"}.write(t)
	command := func(code int, args ...string) planned {
		t.Helper()
		args = append(append([]string{"topology"}, args...), "-c", a.config, "-o", "json", "--management", node.Management)
		return decode[planned](t, magneIn(t, a.dir, nil, nil, args...).want(t, code).stdout)
	}
	command(0, "apply")
	if p := command(0, "plan", "--exit-code"); p.Same != 6 || p.Unknown != 0 {
		t.Errorf("after apply: got %+v", p)
	}
	if err := r.channel().QueueUnbind("work", "work", "magne.v1.x", nil); err != nil {
		t.Fatal(err)
	}
	if p := command(1, "plan", "--exit-code"); p.Create != 1 || p.Same != 5 {
		t.Errorf("a binding is gone: got %+v", p)
	}
	r.remove("work")
	r.plain("work", nil)
	p := command(1, "plan")
	for _, c := range p.Changes {
		if c.Kind == "queue" && c.Name == "work" && (c.State != "differs" || len(c.Differences) < 5) {
			t.Errorf("another queue: got %+v", c)
		}
	}
	got := magneIn(t, a.dir, nil, nil, "topology", "show", "--all", "-c", a.config, "--management", node.Management).want(t, 0)
	if !strings.Contains(got.stdout, "amq.topic") {
		t.Errorf("show --all: got %s", got.stdout)
	}
	got = magneIn(t, a.dir, nil, nil, "topology", "plan", "-c", a.config, "--management", "http://guest:hunter2@127.0.0.1:1/").want(t, 1)
	if !strings.Contains(got.stderr, "without") || strings.Contains(got.stdout+got.stderr, "hunter2") {
		t.Errorf("an API that does not answer: %s", got.stderr)
	}
}

// TestPermissions: users with exactly the rights that are documented can do what
// they must, and are told which right they lack for the rest.
func TestPermissions(t *testing.T) {
	t.Parallel()
	node := testenv.SharedNode(t)
	where, address := vhost(t, node)
	const retry = "retry: {max_attempts: 2, initial: 100ms, max: 100ms}"
	s := setup{pools: "work: {declare: passive, " + retry + ", tasks: {hello: {builtin: echo}, fail: {builtin: fail}}}"}
	s.url = address
	a := s.write(t)
	users := map[string]string{}
	var erlang strings.Builder
	type permission struct{ Identity, Configure, Write, Read string }
	for _, p := range decode[[]permission](t, magneIn(t, a.dir, nil, nil, "topology", "permissions", "--delays", "-c", a.config, "-o", "json").want(t, 0).stdout) {
		name := where + "." + p.Identity
		fmt.Fprintf(&erlang, `rabbit_auth_backend_internal:add_user(<<%q>>, <<"hunter2">>, <<"test">>), `, name)
		fmt.Fprintf(&erlang, `rabbit_auth_backend_internal:set_permissions(<<%q>>, <<%q>>, <<%q>>, <<%q>>, <<%q>>, <<"test">>), `, name, where, p.Configure, p.Write, p.Read)
		users[p.Identity] = as(t, address, name+":hunter2", where)
	}
	eval(t, node, erlang.String()+"ok.")
	// by runs a command as a user, who needs no other configuration for it.
	by := func(identity string, code int, words string, args ...string) {
		t.Helper()
		got := magneIn(t, a.dir, []string{"MAGNE_BROKER_URL=" + users[identity]}, nil, append(args, "-c", a.config)...)
		if got.code != code || !strings.Contains(got.stdout+got.stderr, words) || strings.Contains(got.stdout+got.stderr, "hunter2") {
			t.Errorf("%s: %v: exit %d, want %d with %q\n%s%s", identity, args, got.code, code, words, got.stdout, got.stderr)
		}
	}
	// Who may not make the queues is told before.
	by("worker", 1, "may not be made", "topology", "apply")
	by("producer", 1, "topology permissions", "topology", "plan")
	by("deployer", 0, "0 differ", "topology", "apply", "--delays")
	by("worker", 0, "Without its own, what waits", "topology", "plan", "--delays")
	exit := ladder.Exit("work").Bindings[0]
	if err := dial(t, address).channel().QueueUnbind("work", exit.Key, exit.Exchange, nil); err != nil {
		t.Fatal(err)
	}

	s.env = []string{"MAGNE_BROKER_URL=" + users["worker"]}
	a.again(t, s)
	a.healthy()
	by("producer", 0, "confirmed", "publish", "--exchange", "magne.v1.x", "hello")
	by("producer", 0, "confirmed", "publish", "--exchange", "magne.v1.x", "fail")
	by("producer", 0, "confirmed", "publish", "--exchange", "magne.v1.x", "--in", "200ms", "hello")
	a.settled("work", 4) // with the retry, and by the binding that the worker has made again
	by("operator", 0, "max_attempts", "queue", "peek", "magne.v1.dead.work")
	by("operator", 0, "fail", "dlq", "show", "work")
	by("operator", 0, "", "dlq", "replay", "--all", "work")
	a.settled("work", 6)
	by("operator", 0, "", "dlq", "drop", "--all", "--yes", "work")
	a.stop()
	by("operator", 0, "", "queue", "purge", "--yes", "work")

	by("producer", 1, "amq.default", "publish", "hello")
	by("producer", 1, "permission read", "queue", "peek", "work")
	by("worker", 1, "permission configure", "queue", "declare", "another")
	by("worker", 1, "permission read", "queue", "peek", "magne.v1.dead.work")
	by("worker", 1, "permission write", "publish", "--exchange", "magne.v1.x", "hello")
	by("operator", 1, "permission configure", "queue", "delete", "--yes", "work")
}
