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
	node    *testenv.Node
	network *network
	tap     *tap
	books   *accounts
	sink    *sink
	load    *load
	in      *instance
	watch   *watch
	vhost   string
	lock    net.Conn // of the client that has the queue for itself
}

const (
	user     = "app"
	password = "app-password"
	queue    = "work"
	witness  = "magne.witness" // a queue that only the witness consumes
)

// newRig sets everything up, so that the instance consumes and nothing is
// published. A rig that could not be set up is torn down.
func newRig(ctx context.Context, node *testenv.Node, program, vhost string) (_ *rig, err error) {
	r := &rig{node: node, vhost: vhost, books: new(accounts)}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	at, err := url.Parse(node.URL)
	if err != nil {
		return nil, fmt.Errorf("faults: %w", err)
	}
	if err := r.reset(ctx); err != nil {
		return nil, err
	}
	if r.network, err = newNetwork(at.Host); err != nil {
		return nil, err
	}
	if r.tap, err = newTap(r.network.addr); err != nil {
		return nil, err
	}
	if r.sink, err = newSink(r.books); err != nil {
		return nil, err
	}
	if r.in, err = startInstance(program, r.at(r.tap.address, user, password), queue, r.sink.url); err != nil {
		return nil, err
	}
	r.watch = newWatch(r.in)
	return r, r.until(ctx, "the instance is ready", func() bool { return r.watch.isReady() && r.tap.subscriptions() > 0 })
}

// at is the URL of the virtual host at an address.
func (r *rig) at(addr, user, password string) string {
	return fmt.Sprintf("amqp://%s:%s@%s/%s", user, password, addr, r.vhost)
}

// admin is the URL for us: past the network, as guest.
func (r *rig) admin() string {
	at, err := url.Parse(r.node.URL)
	if err != nil {
		return "" // newRig has parsed it
	}
	return r.at(at.Host, "guest", "guest")
}

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
	text := fmt.Sprintf(format+"%[4]s", r.vhost, user, password, "")
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
	conn, raw, err := dialRaw(r.at(r.network.addr, user, password))
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
			return fmt.Errorf("faults: %w before %s; the instance has said:\n%s", context.Cause(ctx), what, r.in.log)
		}
	}
	return nil
}

// close tears down what there is; the node stays.
func (r *rig) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
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
	if r.lock != nil {
		_ = r.lock.Close()
	}
	return err
}
