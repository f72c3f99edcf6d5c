package doctor

import (
	"slices"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/internal/ladder"
	"github.com/magne-actors/magne-actors/internal/management"
	"github.com/magne-actors/magne-actors/internal/topology"
)

func isDead(c *topology.Change) bool {
	return c.Kind == topology.KindQueue && strings.HasPrefix(c.Name, amqp.DeadExchange+".")
}

func isLadder(c *topology.Change) bool {
	return strings.HasPrefix(c.Name, "magne.v1.delay.") || strings.HasPrefix(c.Exchange, "magne.v1.de") && c.Exchange != amqp.DeadExchange ||
		slices.Contains([]string{"magne.v1.deliver", "magne.v1.undelivered", amqp.DeadExchange + ".magne.v1.deliver"}, c.Name)
}

// pathOf is the key that an object comes from.
func pathOf(c *topology.Change) string {
	if len(c.Pools) == 0 {
		return "pools"
	}
	return "pools." + c.Pools[0] + ".queue"
}

// declared reports whether some pool declares the object itself when it starts.
func declared(f *Facts, c *topology.Change) bool {
	return slices.ContainsFunc(f.Pools, func(p Pool) bool { return p.Declare == "create" && slices.Contains(c.Pools, p.Name) })
}

// objects judges what the pools need to start. The entry exchange they do not.
func (o *findings) objects(f *Facts) {
	made := 0
	for i := range f.Objects {
		c := &f.Objects[i]
		if isLadder(c) || c.Kind == topology.KindBinding || c.Name == topology.EntryExchange {
			continue
		}
		switch c.State {
		case topology.Differs:
			o.add(Error, "topology", pathOf(c), c.Do, "%s %s exists with other arguments: %s", c.Kind, c.Name, c.Why)
		case topology.Accepted:
			o.accepted(f, c)
		case topology.Forbidden:
			o.add(Error, "topology", pathOf(c), c.Do, "%s %s is missing, and this user may not make it: %s", c.Kind, c.Name, c.Why)
		case topology.Create:
			if declared(f, c) {
				made++
				continue
			}
			o.add(Error, "topology", pathOf(c), "`magne-actors topology apply` makes it, with a user who may", "%s %s is missing, and no pool makes it (declare)", c.Kind, c.Name)
		case topology.Unknown:
			severity := Unknown
			if len(f.Pools) > 0 && !declared(f, c) && c.Why != "" {
				severity = Info // a worker that declares nothing cannot compare, and need not
			}
			o.add(severity, "topology", pathOf(c), c.Do, "%s %s could not be compared: %s", c.Kind, c.Name, c.Why)
		case topology.Same:
		}
	}
	if made > 0 {
		o.add(Info, "topology", "", "", "missing and made by `run`: %d of the exchanges and queues", made)
	}
}

// accepted: another queue than we would have made is still one with properties.
func (o *findings) accepted(f *Facts, c *topology.Change) {
	do := "see what is different with `magne-actors topology plan`, and whether it is meant"
	classic := strings.Contains(c.Why, "current is 'classic'")
	for _, d := range c.Differences {
		classic = classic || d.Property == "x-queue-type"
	}
	if q := f.API.queue(c.Name); q != nil && q.Type != "" {
		classic = q.Type == "classic"
	}
	if classic && c.Kind == topology.KindQueue && c.Args["x-queue-type"] == "quorum" {
		o.add(Warning, "queue_type", pathOf(c), "a quorum queue is replicated, counts deliveries, and forwards dead letters so that none is lost when the broker dies: "+
			"make one under another name (`magne-actors topology apply`) and move the pool there", "queue %s is a classic one", c.Name)
		return
	}
	o.add(Info, "topology", pathOf(c), do, "%s %s exists with other arguments, which declare: passive takes as they are: %s", c.Kind, c.Name, c.Why)
}

// ladder says where retries will wait.
func (o *findings) ladder(f *Facts) {
	missing, differs, forbidden := 0, 0, 0
	for i := range f.Objects {
		c := &f.Objects[i]
		if !isLadder(c) {
			continue
		}
		switch c.State {
		case topology.Create:
			if !c.IsExit() {
				missing++
			}
		case topology.Forbidden:
			forbidden++
		case topology.Differs:
			differs++
		case topology.Same, topology.Accepted, topology.Unknown:
		}
	}
	if missing+differs+forbidden == 0 {
		o.exits(f)
		return
	}
	if differs > 0 {
		o.add(Error, "delays", "pools", "`magne-actors topology plan -a` shows them: delete those when they are empty, and apply", "the ladder for delays exists with other arguments: %d of its exchanges and queues", differs)
	}
	for _, p := range f.Pools {
		path := "pools." + p.Name + ".retry.delay"
		switch {
		case !p.Delays || missing+forbidden == 0:
		case p.Declare == "create" && forbidden == 0:
			o.add(Info, "delays", path, "", "the ladder for delays is missing; it is made when it is needed first")
		case p.Durable:
			o.add(Error, "delays", path, "`magne-actors topology apply` makes it, with a user who may", "retries must wait on the broker, and the ladder for delays is missing")
		default:
			o.add(Warning, "delays", path, "`magne-actors topology apply` makes it, with a user who may; or delay: memory says that this is meant",
				"the ladder for delays is missing and this user may not make it: retries wait in the process, and count as in flight")
		}
	}
}

// exits says whose retries would not come back from a ladder that is there. A pool with
// declare: create binds its queue each time that it subscribes.
func (o *findings) exits(f *Facts) {
	const end = "retries that wait on the broker, longer than retry.hold, end in the queue " + ladder.UndeliveredQueue
	for i := range f.Objects {
		c := &f.Objects[i]
		if !c.IsExit() || declared(f, c) {
			continue
		}
		switch c.State {
		case topology.Create:
			o.add(Warning, "delays", pathOf(c), "`magne-actors topology apply` binds it; `run` does, if its user may write the queue and read the exchange",
				"queue %s is not bound to the exchange %s: %s", c.Name, c.Exchange, end)
		case topology.Unknown:
			o.add(Unknown, "delays", pathOf(c), "`magne-actors topology apply` binds it again, which changes nothing where it is bound; "+
				"broker.management or --management names who can tell", "whether queue %s is bound to the exchange %s could not be seen: unless it is, %s", c.Name, c.Exchange, end)
		case topology.Same, topology.Accepted, topology.Differs, topology.Forbidden:
		}
	}
}

// of are the settings of a queue by its arguments and policies.
func (a *API) of(queue string) (map[string]setting, error) {
	kind, args := "quorum", map[string]any(nil)
	if q := a.queue(queue); q != nil {
		kind, args = q.Type, q.Arguments
	}
	policy, err := effective(a.Policies, queue, kind)
	if err != nil {
		return nil, err
	}
	operator, err := effective(a.OperatorPolicies, queue, kind)
	if err != nil {
		return nil, err
	}
	return settings(args, policy, operator), nil
}

// queue is what the API knows of it; nil when it does not.
func (a *API) queue(name string) *management.Queue {
	if a == nil {
		return nil
	}
	i := slices.IndexFunc(a.Queues, func(q management.Queue) bool { return q.Name == name })
	if i < 0 {
		return nil
	}
	return &a.Queues[i]
}

// policies looks for what drops messages on the quiet.
func (o *findings) policies(f *Facts) {
	if f.API == nil || !f.API.PoliciesKnown {
		return
	}
	for i := range f.Objects {
		c := &f.Objects[i]
		if c.Kind != topology.KindQueue {
			continue
		}
		s, err := f.API.of(c.Name)
		if err != nil {
			o.add(Unknown, "policy", pathOf(c), "", "queue %s: %v", c.Name, err)
			continue
		}
		o.lengths(c, s)
		o.expiry(c, s)
		o.delayedRetry(c, s)
	}
}

const changePolicy = "change it with `rabbitmqctl set_policy`, or give it a pattern that does not match this queue"

func (o *findings) lengths(c *topology.Change, s map[string]setting) {
	for _, key := range []string{"max-length", "max-length-bytes"} {
		limit, set := s[key]
		if !set {
			continue
		}
		n, _ := number(limit.value)
		overflow, _ := s["overflow"].value.(string)
		switch {
		case overflow == "reject-publish":
			o.add(Info, "policy", pathOf(c), "", "queue %s refuses messages beyond %s %.0f, by %s", c.Name, key, n, limit.by)
		case isDead(c):
			o.add(Error, "policy", pathOf(c), changePolicy, "queue %s loses its oldest dead letters beyond %s %.0f (drop-head), by %s", c.Name, key, n, limit.by)
		default:
			o.add(Error, "policy", pathOf(c), changePolicy+`; with "overflow": "reject-publish" publishers are told instead`,
				"queue %s loses its oldest messages beyond %s %.0f (drop-head), by %s", c.Name, key, n, limit.by)
		}
	}
}

func (o *findings) expiry(c *topology.Change, s map[string]setting) {
	if e, set := s["expires"]; set {
		n, _ := number(e.value)
		o.add(Error, "policy", pathOf(c), changePolicy, "queue %s is deleted with all that is in it when it was not used for %v, by %s", c.Name, millis(n), e.by)
	}
	if ttl, set := s["message-ttl"]; set && !isLadder(c) {
		n, _ := number(ttl.value)
		severity, what := Warning, "messages of queue %s that wait longer than %v are dead letters, by %s"
		if isDead(c) {
			severity, what = Error, "dead letters of queue %s are dropped after %v, by %s"
		}
		o.add(severity, "policy", pathOf(c), changePolicy, what, c.Name, millis(n), ttl.by)
	}
	const few = 10
	if limit, set := s["delivery-limit"]; set && !isDead(c) && !isLadder(c) {
		if n, ok := number(limit.value); ok && n >= 0 && n < few {
			o.add(Warning, "policy", pathOf(c), "100 is what we declare: it is a net, attempts are counted by the worker",
				"queue %s gives a message up after %.0f deliveries, by %s: every one that a lost connection returns counts, and not only those that have failed", c.Name, n, limit.by)
		}
	}
}

// delayedRetry names what holds back messages that a pool returns.
func (o *findings) delayedRetry(c *topology.Change, s map[string]setting) {
	kind, set := s["delayed-retry-type"]
	least, _ := number(s["delayed-retry-min"].value)
	switch kind.value {
	case "all", "returned":
		o.add(Warning, "delayed_retry", pathOf(c), "the type failed delays what has failed and nothing else; "+changePolicy,
			"queue %s holds back what a pool returns when it stops, is paused or loses a consumer for at least %v before another may take it, by %s", c.Name, millis(least), kind.by)
	case "failed":
		o.add(Info, "delayed_retry", pathOf(c), "", "queue %s holds back for at least %v what a lost connection returns, by %s", c.Name, millis(least), kind.by)
	case "disabled":
	default:
		if set {
			o.add(Unknown, "delayed_retry", pathOf(c), "", "queue %s has the unknown type %v of delayed retries, by %s", c.Name, kind.value, kind.by)
		}
	}
}

func millis(n float64) time.Duration { return time.Duration(n) * time.Millisecond }

// timeouts compares how long deliveries may stay unsettled with how long RabbitMQ
// waits.
func (o *findings) timeouts(f *Facts) {
	if f.Broker.Product != "RabbitMQ" {
		return // its own is compared by the lint of the configuration
	}
	if f.Settings == nil || f.Settings.ConsumerTimeout == nil {
		o.add(Unknown, "consumer_timeout", "", "on the broker: rabbitmqctl -q environment --formatter json >env.json, then doctor --environment env.json",
			"neither AMQP nor the management API tells consumer_timeout, after which RabbitMQ takes back what is not settled; 30 minutes unless somebody has changed it")
	}
	for _, p := range f.Pools {
		limit, by := consumerTimeout(f, p.Queue)
		path := "pools." + p.Name + ".timeout"
		switch {
		case limit == 0:
		case p.Unsettled == 0:
			o.add(Warning, "consumer_timeout", path, "set a timeout below it, or raise it", "pool %s has no timeout, and after %v (%s) RabbitMQ takes a delivery back and runs it again", p.Name, limit, by)
		case p.Unsettled >= limit:
			o.add(Error, "consumer_timeout", path, "lower the timeout, or raise consumer_timeout on the broker (consumer-timeout in a policy since 3.12)",
				"a delivery of pool %s may be unsettled for %v, and after %v (%s) RabbitMQ takes it and all others of the channel back and runs them again", p.Name, p.Unsettled, limit, by)
		case p.Unsettled > limit/2:
			o.add(Warning, "consumer_timeout", path, "lower the timeout, or raise consumer_timeout on the broker",
				"a delivery of pool %s may be unsettled for %v, more than half of the %v (%s) after which RabbitMQ takes it back", p.Name, p.Unsettled, limit, by)
		}
	}
}

// consumerTimeout is the one that applies to a queue, 0 for none that is known.
func consumerTimeout(f *Facts, queue string) (limit time.Duration, by string) {
	if f.Settings != nil && f.Settings.ConsumerTimeout != nil {
		limit, by = *f.Settings.ConsumerTimeout, "consumer_timeout of the broker"
	}
	if f.API != nil && f.API.PoliciesKnown {
		if s, err := f.API.of(queue); err == nil {
			if set, is := s["consumer-timeout"]; is {
				if n, ok := number(set.value); ok {
					return millis(n), set.by
				}
			}
		}
	}
	return limit, by
}

// confirms: how long dead letters and delayed messages can hang after a restart.
func (o *findings) confirms(f *Facts) {
	const good = 10 * time.Second
	quorum := slices.ContainsFunc(f.Objects, func(c topology.Change) bool { return c.Args["x-dead-letter-strategy"] == "at-least-once" })
	if f.Broker.Product != "RabbitMQ" || !quorum {
		return
	}
	const do = "in advanced.config of the broker: [{rabbit, [{dead_letter_worker_publisher_confirm_timeout, 10000}]}]."
	if f.Settings == nil || f.Settings.ConfirmTimeout == nil {
		o.add(Unknown, "confirm_timeout", "", do, "dead_letter_worker_publisher_confirm_timeout is 3 minutes unless somebody has changed it: "+
			"so long dead letters and delayed messages may hang after a restart of the broker")
		return
	}
	if t := *f.Settings.ConfirmTimeout; t > good {
		o.add(Warning, "confirm_timeout", "", do, "dead letters and delayed messages may hang for %v after a restart of the broker (dead_letter_worker_publisher_confirm_timeout)", t)
	}
}
