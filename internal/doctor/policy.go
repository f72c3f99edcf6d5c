package doctor

import (
	"fmt"
	"regexp"

	"github.com/magne-actors/magne-actors/internal/management"
)

// effective returns the policy that applies to a queue: of those that match it, the
// one with the highest priority. A pattern that is no regular expression of Go's is an
// error: RabbitMQ's are Erlang's.
func effective(list []management.Policy, queue, kind string) (*management.Policy, error) {
	var best *management.Policy
	for i := range list {
		p := &list[i]
		switch p.ApplyTo {
		case "", "all", "queues":
		case kind + "_queues": // classic_queues, quorum_queues since 3.12
		default:
			continue
		}
		re, err := regexp.Compile(p.Pattern)
		if err != nil {
			return nil, fmt.Errorf("policy %q: its pattern %q cannot be read here", p.Name, p.Pattern)
		}
		if re.MatchString(queue) && (best == nil || p.Priority > best.Priority) {
			best = p
		}
	}
	return best, nil
}

// number is a number of a policy or of arguments.
func number(v any) (float64, bool) {
	switch n := v.(type) {
	case float64:
		return n, true
	case int:
		return float64(n), true
	case int32:
		return float64(n), true
	case int64:
		return float64(n), true
	}
	return 0, false
}

// setting is a property of a queue with who has set it.
type setting struct {
	value any
	by    string
}

// settings are what arguments and policies give a queue: for numbers RabbitMQ takes
// the smallest, for words the queue's own argument.
func settings(args map[string]any, policies ...*management.Policy) map[string]setting {
	all := map[string]setting{}
	for _, key := range []string{"max-length", "max-length-bytes", "message-ttl", "expires", "delivery-limit", "consumer-timeout", "overflow", "delayed-retry-type", "delayed-retry-min"} {
		if v, set := args["x-"+key]; set {
			all[key] = setting{v, "its argument x-" + key}
		}
	}
	for _, p := range policies {
		if p == nil {
			continue
		}
		for key, v := range p.Definition {
			was, set := all[key]
			n, isNumber := number(v)
			m, wasNumber := number(was.value)
			if !set || isNumber && wasNumber && n < m {
				all[key] = setting{v, fmt.Sprintf("the policy %q", p.Name)}
			}
		}
	}
	return all
}
