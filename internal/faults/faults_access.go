package faults

import (
	"context"
	"slices"
	"time"
)

// closeUser ends the connections: RabbitMQ asks for rights only where something is
// begun.
const closeUser = `, ` + closeAll

// slowRefusal is how long RabbitMQ keeps a login that fails waiting, before it closes
// the socket; an attempt that began before the rights were given back takes so long.
const slowRefusal = 3 * time.Second

// refusal is what `why` says of a right that is missing.
const refusal = `ACCESS_REFUSED|access refused|refused the user`

// accessFaults are about what the instance may do.
func accessFaults() []Fault {
	list := []Fault{
		{
			Name: "permission-read", Title: "the user may no longer read, for 4 s",
			inject: permissions(".*", ".*", "^$"), heal: permissions(".*", ".*", ".*"),
		},
		{
			Name: "permission-write", Title: "the user may no longer write, for 4 s",
			inject: permissions(".*", "^$", ".*"), heal: permissions(".*", ".*", ".*"),
		},
		{
			Name: "permission-configure", Title: "the user may no longer configure, for 4 s",
			inject: permissions("^$", ".*", ".*"), heal: permissions(".*", ".*", ".*"),
		},
		{
			Name: "password-changed", Title: "the user has another password, for 10 s",
			inject: evaluate(`ok = rabbit_auth_backend_internal:change_password(<<"%[2]s">>, <<"another">>, <<"chaos">>)` + closeUser),
			heal:   evaluate(`ok = rabbit_auth_backend_internal:change_password(<<"%[2]s">>, <<"%[3]s">>, <<"chaos">>)`),
		},
		{
			Name: "user-deleted", Title: "the user is deleted, and created again after 10 s",
			inject: evaluate(`rabbit_auth_backend_internal:delete_user(<<"%[2]s">>, <<"chaos">>)` + closeUser),
			heal:   evaluate(addUser),
		},
		{
			Name: "vhost-deleted", Title: "the virtual host is deleted, and created again after 4 s",
			inject: func(ctx context.Context, r *rig) error {
				defer r.books.remove()
				return r.eval(ctx, `rabbit_vhost:delete(<<"%[1]s">>, <<"chaos">>)`)
			},
			heal: func(ctx context.Context, r *rig) error {
				// The user's rights have gone with it.
				if err := r.eval(ctx, addVhost); err != nil {
					return err
				}
				if err := permissions(".*", ".*", ".*")(ctx, r); err != nil {
					return err
				}
				return r.declareWitness()
			},
		},
	}
	for i := range list {
		f := &list[i]
		f.lasts, f.renews, f.why, f.more, f.reason = 4*time.Second, true, says(refusal), reconnectMax, capped
	}
	for _, name := range []string{"password-changed", "user-deleted"} {
		f := &list[slices.IndexFunc(list, func(f Fault) bool { return f.Name == name })]
		f.lasts, f.more, f.reason = 10*time.Second, slowRefusal+reconnectMax, "a login that fails is answered after 3 s, and the cap of the backoff"
	}
	vhost := &list[len(list)-1]
	vhost.removes = true
	vhost.why = says(`NOT_ALLOWED|vhost|virtual host`)
	return list
}

// permissions sets the user's permissions and ends the connections.
func permissions(configure, write, read string) func(context.Context, *rig) error {
	return evaluate(`ok = rabbit_auth_backend_internal:set_permissions(<<"%[2]s">>, <<"%[1]s">>, ` +
		`<<"` + configure + `">>, <<"` + write + `">>, <<"` + read + `">>, <<"chaos">>)` + closeUser)
}
