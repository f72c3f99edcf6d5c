package difftest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// op is one operation. Names of queues and exchanges are those of the sequence:
// each run puts its own prefix before those that do not begin with "amq." and are
// not empty.
type op struct {
	conn, ch int
	what     string
	// m is the method, its names without prefix, nil for what the run makes up: see
	// world.perform.
	m     wire.Method
	props *wire.Properties
	body  string
	pick  int // which of the unsettled deliveries; -1: a tag that never was
}

func (o op) String() string {
	s := fmt.Sprintf("%d.%d %s", o.conn, o.ch, o.what)
	if o.m != nil {
		s += o.m.Name() + strings.TrimPrefix(fmt.Sprintf("%+v", o.m), "&")
	}
	if o.props != nil {
		s += " " + propsText(o.props)
	}
	if o.body != "" {
		s += " " + o.body
	}
	if o.m == nil {
		s += fmt.Sprint(" pick ", o.pick)
	}
	return s
}

func propsText(p *wire.Properties) string {
	var parts []string
	add := func(name string, v any, zero bool) {
		if !zero {
			parts = append(parts, fmt.Sprint(name, "=", v))
		}
	}
	add("type", p.ContentType, p.ContentType == "")
	add("mode", p.DeliveryMode, p.DeliveryMode == 0)
	add("priority", p.Priority, p.Present&wire.PropPriority == 0 && p.Priority == 0)
	add("expiration", p.Expiration, p.Expiration == "")
	add("user", p.UserID, p.UserID == "")
	headers := tableText(p.Headers)
	add("headers", headers, headers == "{}")
	return "{" + strings.Join(parts, " ") + "}"
}

// tableText writes a table with the types of its values. Times are left out.
func tableText(v any) string {
	switch v := v.(type) {
	case wire.Table:
		var fields []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			// RabbitMQ adds a count of none to what it gets from quorum queues.
			if name == "time" || name == "x-delivery-count" && wire.Equal(v[name], int64(0)) {
				continue
			}
			fields = append(fields, name+":"+tableText(v[name]))
		}
		return "{" + strings.Join(fields, " ") + "}"
	case []any:
		var elements []string
		for _, e := range v {
			elements = append(elements, tableText(e))
		}
		return "[" + strings.Join(elements, " ") + "]"
	}
	return fmt.Sprintf("%T(%v)", v, v)
}
