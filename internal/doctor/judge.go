package doctor

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/internal/topology"
)

// Judge says what there is to say about the facts, the worst first.
func Judge(f Facts) []Finding {
	var out findings
	out.addresses(&f)
	out.lint(&f)
	out.local(&f)
	if f.Broker != nil {
		out.version(&f)
		out.api(&f)
		out.objects(&f)
		out.ladder(&f)
		out.rights(&f)
		out.policies(&f)
		out.timeouts(&f)
		out.confirms(&f)
	}
	return out.sorted()
}

func (o *findings) addresses(f *Facts) {
	reached := 0
	for _, a := range f.Addresses {
		if a.Err == "" {
			reached++
		}
	}
	for _, a := range f.Addresses {
		switch {
		case a.Err == "":
			o.add(Info, "reachable", a.Path, "", "%s answers", a.Address)
		case a.Denied:
			o.add(Error, "login", a.Path, "check user, password and virtual host of the URL; on the broker, `rabbitmqctl list_permissions -p VHOST` lists who may enter", "%s", a.Err)
		case reached > 0:
			o.add(Warning, "reachable", a.Path, "sessions go to the other addresses meanwhile; one that gives no answer at all costs 10 s each time it is tried first: leave it out while it is away", "%s", a.Err)
		default:
			o.add(Error, "reachable", a.Path, "is the broker running, and its address right?", "%s", a.Err)
		}
	}
	if f.Remote && f.User == "guest" && !f.Embedded {
		o.add(Warning, "login", "broker.url", "make a user with the permissions that `magne-actors topology permissions` prints, and delete guest",
			"the user is guest, whose password everybody knows")
	}
}

func (o *findings) lint(f *Facts) {
	for _, w := range f.Lint {
		o.list = append(o.list, Finding{Severity: Warning, Check: "config", What: w.Message, Path: w.Path, Source: w.Source, Line: w.Line, Column: w.Column})
	}
	const crowd = 50_000 // broker.md §9: what unsettled deliveries cost a quorum queue in memory
	sum := 0
	for _, p := range f.Pools {
		sum += p.High
	}
	if sum > crowd {
		o.add(Warning, "prefetch", "pools", "lower watermarks.high: a pool needs workers * slots, and little more",
			"the pools may hold %d deliveries at once; the queues keep each of them in the broker's memory, and more than some %d of all consumers together are slow", sum, crowd)
	}
}

func (o *findings) local(f *Facts) {
	switch need, limit := f.Files.Need, f.Files.Limit; {
	case limit == 0:
		o.add(Unknown, "files", "", "`ulimit -Hn` shows it", "how many files a process may have open cannot be told here; this configuration may need some %d", need)
	case need > limit:
		o.add(Error, "files", "", "raise it: LimitNOFILE= of the systemd unit, or `ulimit -Hn`", "this configuration may need some %d open files, and a process may have %d", need, limit)
	case need > limit*8/10:
		o.add(Warning, "files", "", "raise it: LimitNOFILE= of the systemd unit, or `ulimit -Hn`", "this configuration may need some %d of the %d files that a process may have open", need, limit)
	default:
		o.add(Info, "files", "", "", "some %d files may be needed, %d may be open", need, limit)
	}
	switch c := &f.Control; {
	case c.Answers:
		o.add(Info, "control", "control.socket", "", "an instance (%s) answers at %s", c.Version, c.Socket)
	case c.Err != "":
		o.add(Error, "control", "control.socket", "`run` would not start: choose another path, or change the owner or mode of its directory", "%s", c.Err)
	case c.Mode&0o077 != 0:
		o.add(Warning, "control", "control.socket", "chmod 600: who may write to it may stop the instance", "%s has the mode %#o", c.Socket, c.Mode.Perm())
	}
}

// version knows what releases do differently.
func (o *findings) version(f *Facts) {
	b := f.Broker
	o.add(Info, "version", "", "", "%s %s", b.Product, b.Version)
	if b.Product != "RabbitMQ" {
		return
	}
	major, minor := release(b.Version)
	if major == 4 && minor <= 2 {
		for _, c := range f.Objects {
			if !isDead(&c) || c.State == topology.Create {
				continue
			}
			limit, by, known := deliveryLimit(f, &c)
			switch {
			case known && limit < 0:
			case known && by != "":
				o.add(Warning, "delivery_limit", pathOf(&c), noLimit, "queue %s: a look at a dead letter counts as a delivery, and %s drops it after %d", c.Name, by, limit)
			default:
				o.add(Warning, "delivery_limit", pathOf(&c), noLimit, "queue %s: RabbitMQ 4.0 to 4.2 drops a message from a quorum queue when it was delivered 20 times, "+
					"and a look at a dead letter counts", c.Name)
			}
		}
	}
	if major > 4 || major == 4 && minor >= 3 {
		o.add(Info, "version", "", "", "RabbitMQ 4.3 and later ask for the permission configure for a passive declaration: a worker without it cannot look at the queue of its dead letters, and goes on")
		o.add(Info, "delayed_retry", "", "", "RabbitMQ 4.3 and later can hold back what is returned to a quorum queue; retries wait on the ladder for delays all the same, see docs/adr/0017-ladder-not-delayed-retry.md")
		o.transient(f)
	}
}

// transient: RabbitMQ 4.3 refuses a queue that is neither durable nor exclusive, and
// closes the connection for it.
func (o *findings) transient(f *Facts) {
	for i := range f.Objects {
		c := &f.Objects[i]
		if c.Kind != topology.KindQueue || c.Durable || !declared(f, c) {
			continue
		}
		o.add(Error, "transient", pathOf(c), "on each node, deprecated_features.permit.transient_nonexcl_queues = true in rabbitmq.conf; or make a durable queue of that name, and declare: passive",
			"queue %s is not durable, as codec magne has it: RabbitMQ 4.3 and later refuse to declare it (541) and close the connection, unless they are told to permit it", c.Name)
	}
}

const noLimit = `rabbitmqctl set_policy magne-dead '^magne\.v1\.dead\.' '{"delivery-limit": -1}' --apply-to queues`

// deliveryLimit is that of a queue of dead letters, as far as the API has told.
func deliveryLimit(f *Facts, c *topology.Change) (limit int, by string, known bool) {
	if f.API == nil || !f.API.PoliciesKnown {
		return 0, "", false
	}
	s, err := f.API.of(c.Name)
	if err != nil {
		return 0, "", false
	}
	set, isSet := s["delivery-limit"]
	if n, ok := number(set.value); isSet && ok {
		return int(n), set.by, true
	}
	return 20, "", true
}

// release is the beginning of a version, 0 where it cannot be read.
func release(version string) (major, minor int) {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) > 1 {
		major, _ = strconv.Atoi(parts[0])
		minor, _ = strconv.Atoi(parts[1])
	}
	return major, minor
}

// api says how the cluster is, and what could not be asked.
func (o *findings) api(f *Facts) {
	if f.Broker.Product != "RabbitMQ" {
		return
	}
	if f.API == nil {
		o.add(Unknown, "management", "broker.management", "name the management API: broker.management or --management http://user:password@host:15672/, a user with the tag monitoring",
			"AMQP tells nothing of alarms, policies, bindings and the broker's clock: they were not checked")
		return
	}
	for _, err := range f.API.Errs {
		o.add(Unknown, "management", "broker.management", "is the plugin rabbitmq_management enabled, the address right, and has the user the tag monitoring?", "not checked: %s", err)
	}
	for _, n := range f.API.Nodes {
		switch {
		case !n.Running:
			o.add(Warning, "cluster", "", "start it: quorum queues need more than half of their members", "node %s is down", n.Name)
		case n.MemoryAlarm || n.DiskAlarm:
			what := map[bool]string{true: "memory", false: "disk"}[n.MemoryAlarm]
			o.add(Error, "alarm", "", "free some, or raise vm_memory_high_watermark or disk_free_limit: until then tasks are consumed, and neither retries nor dead letters leave",
				"node %s has a %s alarm and blocks everybody who publishes", n.Name, what)
		}
		if len(n.Partitions) > 0 {
			o.add(Error, "cluster", "", "heal it: restart the nodes of the smaller side", "node %s does not see %s: the cluster is partitioned", n.Name, strings.Join(n.Partitions, ", "))
		}
		if n.FilesLimit > 0 && n.Files > n.FilesLimit*8/10 {
			o.add(Warning, "cluster", "", "raise its LimitNOFILE", "node %s has %d of %d files open", n.Name, n.Files, n.FilesLimit)
		}
	}
	o.clock(f.API)
}

func (o *findings) clock(a *API) {
	const bearable = 2 * time.Second
	if a.Overview == nil || a.Overview.Clock.IsZero() {
		return
	}
	if skew := a.Skew.Abs(); skew > bearable+a.Blur {
		word := map[bool]string{true: "ahead of", false: "behind"}[a.Skew > 0]
		o.add(Warning, "clock", "", "synchronize both (timedatectl, chrony): times of delayed messages and of dead letters are compared between machines",
			"the broker's clock is %v %s this machine's", skew.Round(time.Second), word)
		return
	}
	o.add(Info, "clock", "", "", "the clocks of the broker and of this machine agree to some %v", (bearable + a.Blur).Round(time.Second))
}

// rights says which permissions are missing.
func (o *findings) rights(f *Facts) {
	unclear := 0
	for _, r := range f.Rights {
		switch r.Grant {
		case amqp.Granted:
		case amqp.Refused:
			o.add(Error, "permission", r.Path, fmt.Sprintf("give the user a %s pattern that matches %q: `magne-actors topology permissions` prints the commands", r.Permission, r.Resource()),
				"%s, needed to %s: %s", r.Right.String(), r.For, r.Words)
		default:
			unclear++
		}
	}
	if unclear > 0 && !f.Embedded {
		o.add(Unknown, "permission", "", "", "%d permissions could not be asked for", unclear)
	}
}
