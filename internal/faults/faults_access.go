package faults

import (
	"context"
	"time"
)

// closeUser ends the user's connections: RabbitMQ asks for rights only where
// something is begun.
const closeUser = `, rabbit_networking:close_connections(rabbit_networking:connections(), "rights have changed")`

// accessFaults are about what the instance may do.
func accessFaults() []Fault {
	return []Fault{
		{
			Name: "permission-read", Title: "the user may no longer read, for 4 s",
			lasts: 4 * time.Second, renews: true, why: says(`ACCESS_REFUSED`), more: reconnectMax, reason: "the backoff's cap",
			inject: permissions(".*", ".*", "^$"),
			heal:   permissions(".*", ".*", ".*"),
		},
	}
}

// permissions sets the user's permissions and ends the connections.
func permissions(configure, write, read string) func(context.Context, *rig) error {
	return func(ctx context.Context, r *rig) error {
		return r.eval(ctx, `ok = rabbit_auth_backend_internal:set_permissions(<<"%[2]s">>, <<"%[1]s">>, `+
			`<<"`+configure+`">>, <<"`+write+`">>, <<"`+read+`">>, <<"chaos">>)`+closeUser)
	}
}
