package faults

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/internal/testenv"
)

// rig is an instance with all that is around it:
//
//	load ------------------------------> node
//	endpoint <- instance -> tap -> network -> node
//
// Its virtual host and its user are its own.
type rig struct {
	broker  broker
	node    *testenv.Node // the broker, if that is RabbitMQ
	addr    string        // of the broker
	network *network
	tap     *tap
	books   *accounts
	sink    *sink
	load    *load
	in      *instance
	watch   *watch
	vhost   string

	user, password string              // of the instance
	lock           *amqp091.Connection // of the client that has the queue for itself
	lockWire       net.Conn            // under it
}

const (
	queue   = "work"
	witness = "magne.witness" // a queue that only the witness consumes
)

// newRig sets everything up around a RabbitMQ node, so that the instance consumes and
// nothing is published. A rig that could not be set up is torn down.
func newRig(ctx context.Context, node *testenv.Node, program, vhost string) (*rig, error) {
	at, err := url.Parse(node.URL)
	if err != nil {
		return nil, fmt.Errorf("faults: %w", err)
	}
	r := &rig{broker: node, node: node, addr: at.Host, vhost: vhost, user: "app", password: "app-password"}
	if err := r.reset(ctx); err != nil {
		return nil, err
	}
	return r.setUp(ctx, program)
}

// newEmbeddedRig is newRig around an embedded broker of its own, which has one user and
// one virtual host.
func newEmbeddedRig(ctx context.Context, program string) (*rig, error) {
	e, err := startEmbedded(ctx, program)
	if err != nil {
		return nil, err
	}
	r := &rig{broker: e, addr: e.addr, user: "guest", password: "guest"}
	if err := r.declareWitness(); err != nil {
		return nil, errors.Join(err, e.Stop())
	}
	if r, err = r.setUp(ctx, program); err != nil {
		return nil, errors.Join(err, e.Stop())
	}
	return r, nil
}

func (r *rig) setUp(ctx context.Context, program string) (_ *rig, err error) {
	r.books = new(accounts)
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close(ctx))
		}
	}()
	if r.network, err = newNetwork(r.addr); err != nil {
		return nil, err
	}
	if r.tap, err = newTap(r.network.addr); err != nil {
		return nil, err
	}
	if r.sink, err = newSink(r.books); err != nil {
		return nil, err
	}
	if r.in, err = startInstance(program, r.at(r.tap.address, r.user, r.password), queue, r.sink.url); err != nil {
		return nil, err
	}
	r.watch = newWatch(ctx, r.in)
	return r, r.until(ctx, "ready for the first time", func() bool { return r.watch.isReady() && r.tap.subscriptions() > 0 })
}

// at is the URL of the virtual host at an address.
func (r *rig) at(addr, user, password string) string {
	return fmt.Sprintf("amqp://%s:%s@%s/%s", user, password, addr, r.vhost)
}

// admin is the URL for us: past the network, as guest.
func (r *rig) admin() string { return r.at(r.addr, "guest", "guest") }

// reset makes the virtual host and the user anew.
func (r *rig) reset(ctx context.Context) error {
	err := r.eval(ctx, `V = <<"%[1]s">>, A = <<"chaos">>, rabbit_vhost:exists(V) andalso rabbit_vhost:delete(V, A)`)
	if err == nil {
		err = r.eval(ctx, addVhost)
	}
	if err == nil {
		err = r.eval(ctx, `U = <<"%[2]s">>, A = <<"chaos">>, rabbit_auth_backend_internal:exists(U) andalso rabbit_auth_backend_internal:delete_user(U, A)`)
	}
	if err == nil {
		err = r.eval(ctx, addUser)
	}
	if err != nil {
		return err
	}
	return r.declareWitness()
}

// Erlang for eval: %[1]s is the virtual host, %[2]s the user and %[3]s the password.
const (
	addVhost = `V = <<"%[1]s">>, A = <<"chaos">>, ok = rabbit_vhost:add(V, A), ` +
		`ok = rabbit_auth_backend_internal:set_permissions(<<"guest">>, V, <<".*">>, <<".*">>, <<".*">>, A)`
	addUser = `U = <<"%[2]s">>, A = <<"chaos">>, ok = rabbit_auth_backend_internal:add_user(U, <<"%[3]s">>, A), ` +
		`ok = rabbit_auth_backend_internal:set_permissions(U, <<"%[1]s">>, <<".*">>, <<".*">>, <<".*">>, A)`
)

// eval has the node evaluate Erlang.
func (r *rig) eval(ctx context.Context, format string) error {
	text := fmt.Sprintf(format+"%[4]s", r.vhost, r.user, r.password, "")
	_, err := r.node.Eval(ctx, text)
	return err
}

func (r *rig) declareWitness() error {
	return r.asAdmin(func(ch *amqp091.Channel) error {
		_, err := ch.QueueDeclare(witness, true, false, false, false, amqp091.Table{"x-queue-type": "quorum"})
		return err
	})
}

// asAdmin runs f on a channel of its own, past the network.
func (r *rig) asAdmin(f func(ch *amqp091.Channel) error) error {
	conn, raw, err := dialRaw(r.admin())
	if err != nil {
		return err
	}
	defer raw.Close()
	ch, err := conn.Channel()
	if err == nil {
		err = f(ch)
	}
	if err == nil {
		err = conn.CloseDeadline(time.Now().Add(time.Second))
	}
	if err != nil {
		return fmt.Errorf("faults: admin: %w", err)
	}
	return nil
}

// able tries to consume as the instance does, with a client of its own that goes
// through the same network, and returns when that works.
func (r *rig) able(ctx context.Context) error {
	for {
		err := r.consumeWitness()
		if err == nil {
			return nil
		}
		if !pause(ctx, 10*time.Millisecond) {
			return fmt.Errorf("faults: the broker is not able again: %w", err)
		}
	}
}

func (r *rig) consumeWitness() error {
	conn, raw, err := dialRaw(r.at(r.network.addr, r.user, r.password))
	if err != nil {
		return err
	}
	defer raw.Close()
	ch, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("faults: witness: %w", err)
	}
	if _, err := ch.Consume(witness, "", true, false, false, false, nil); err != nil {
		return fmt.Errorf("faults: witness: %w", err)
	}
	return nil
}

// until waits for ok, for as long as the instance lives and ctx goes on.
func (r *rig) until(ctx context.Context, what string, ok func() bool) error {
	for !ok() {
		if err := r.in.alive(); err != nil {
			return err
		}
		if !pause(ctx, 10*time.Millisecond) {
			return fmt.Errorf("faults: %w: not %s", context.Cause(ctx), what)
		}
	}
	return nil
}

// close tears down what there is; the node stays.
func (r *rig) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	var err error
	if r.load != nil {
		r.load.stop()
	}
	if r.watch != nil {
		r.watch.stop()
	}
	if r.in != nil {
		err = r.in.close()
	}
	if r.sink != nil {
		r.sink.close(ctx)
	}
	if r.tap != nil {
		r.tap.down()
	}
	if r.network != nil {
		r.network.close()
	}
	if r.lockWire != nil {
		_ = r.lockWire.Close()
	}
	return err
}
