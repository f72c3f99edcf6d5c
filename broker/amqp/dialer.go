package amqp

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker"
)

// Dialer opens sessions to RabbitMQ 3.10 or later, or to another broker that
// speaks AMQP 0-9-1 with RabbitMQ's extensions. Only URL is required. It may be
// used by several goroutines, and must not be changed meanwhile.
type Dialer struct {
	// URL is amqp://user:password@host:port/vhost, or amqps:// for TLS. Special
	// characters are percent-encoded. It is never shown in an error or a log.
	URL string
	// URLs, when there are any, take the place of URL: brokers of which one is as good
	// as another, such as the nodes of a cluster. A Dial tries them all, one after the
	// other, in random order; the session stays with the one that it has got.
	URLs []string
	// Rotation, when not nil, has a Dial try the broker of the session before last.
	Rotation *Rotation
	// ConnectionName is what the broker's tools show for our connections, with
	// "consume" or "publish" appended. Default: the program's name and pid.
	ConnectionName string
	// Heartbeat is how often either side shows that it lives; a peer that is
	// silent for one and a half times as long is dead. Whole seconds.
	// Default: 10 s.
	Heartbeat time.Duration
	// WriteTimeout is how long the broker may take no byte from us before the
	// connection is given up. Default: Heartbeat.
	WriteTimeout time.Duration
	// TLS configures amqps. Default: what the query of URL says (cacertfile,
	// certfile, keyfile), the system's authorities, TLS 1.3.
	TLS *tls.Config
	// RequireTLS refuses a URL that is not amqps.
	RequireTLS bool
	// Login, when not nil, is asked at each dial for the user and password, which
	// take the place of those in URL: so they may change while the program runs.
	Login func(ctx context.Context) (user, password string, err error)
	// External has the broker take the user from our certificate (SASL EXTERNAL)
	// rather than ask for a password. RabbitMQ needs its plugin
	// rabbitmq_auth_mechanism_ssl and EXTERNAL among its auth_mechanisms for that.
	External bool
	// OneConnection has the sessions use one connection for everything, for a
	// program that only publishes, or only consumes. A broker that blocks publishers
	// holds up settlements on it, too.
	OneConnection bool
	// ChannelSpan is how many unsettled deliveries one AMQP channel carries; a
	// larger window is spread over several channels, at most 128. RabbitMQ walks
	// the list of a channel's unsettled deliveries on every ack that is out of
	// order, so one long list makes it slow. Default: 1000.
	ChannelSpan int
	// PublishWindow is how many publications may wait for the broker's confirm at
	// once. Default: 1000.
	PublishWindow int
	// ConfirmTimeout is how long the broker may leave a publication unanswered while
	// it does not block publishers. Then its channel is given up, and the outcome of
	// all that is unconfirmed on it is unknown. Default: 30 s.
	ConfirmTimeout time.Duration
	// NetDial opens the connection below AMQP in place of net.Dialer: to a broker
	// in this process, or through a proxy. address is the host and port of URL.
	NetDial func(ctx context.Context, network, address string) (net.Conn, error)
	// Product, when not empty, is what the broker must call itself: Dial refuses
	// another one, for an address at which something else may listen.
	Product string
	// Logger gets what is neither an error nor visible elsewhere. Default: none.
	Logger *slog.Logger
}

var _ broker.Dialer = Dialer{}

// oldest is the first release of RabbitMQ that is supported.
var oldest = [2]int{3, 10}

func (d Dialer) withDefaults() Dialer {
	d.ConnectionName = cmp.Or(d.ConnectionName, fmt.Sprintf("%s[%d]", filepath.Base(os.Args[0]), os.Getpid()))
	d.Heartbeat = cmp.Or(d.Heartbeat, 10*time.Second)
	d.WriteTimeout = cmp.Or(d.WriteTimeout, d.Heartbeat)
	d.ChannelSpan = cmp.Or(d.ChannelSpan, 1000)
	d.PublishWindow = cmp.Or(d.PublishWindow, 1000)
	d.ConfirmTimeout = cmp.Or(d.ConfirmTimeout, 30*time.Second)
	d.Logger = cmp.Or(d.Logger, slog.New(slog.DiscardHandler))
	if d.NetDial == nil {
		d.NetDial = new(net.Dialer).DialContext
	}
	return d
}

// validate reports all that is wrong with the options.
func (d Dialer) validate() error {
	var errs []error
	check := func(ok bool, text string) {
		if !ok {
			errs = append(errs, errors.New("amqp: "+text))
		}
	}
	check(d.Heartbeat >= time.Second, "Heartbeat must be at least 1 s")
	check(d.WriteTimeout > 0, "WriteTimeout must be positive")
	check(d.ChannelSpan > 0, "ChannelSpan must be positive")
	check(d.PublishWindow > 0, "PublishWindow must be positive")
	check(d.ConfirmTimeout > 0, "ConfirmTimeout must be positive")
	for _, text := range d.urls() {
		if u, err := parse(text); err != nil {
			errs = append(errs, err)
		} else {
			check(!d.RequireTLS || u.Scheme == "amqps", "TLS is required, and the URL does not begin with amqps://")
		}
	}
	return errors.Join(errs...)
}

// Dial implements [broker.Dialer]. It opens the connection for consuming; that
// for publishing is opened by the first Publish, unless OneConnection is set.
//
// A broker that closes the socket during the login, as RabbitMQ does some
// seconds after a wrong password, is asked a second time: when it does so again,
// the error wraps [broker.ErrDenied].
func (d Dialer) Dial(ctx context.Context) (broker.Session, error) {
	d = d.withDefaults()
	role := "consume"
	if d.OneConnection {
		role = "session"
	}
	d, l, err := d.open(ctx, role, true)
	if err != nil {
		return nil, err
	}
	return newSession(d, l), nil
}

// errSilence: the broker ended the connection during the login and did not say
// why.
var errSilence = errors.New("the broker closed the connection during the login (wrong user or password?)")

// where names the broker without user and password.
func (d Dialer) where() string {
	u, err := parse(d.URL)
	if err != nil {
		return "the broker"
	}
	return u.address() + " vhost " + strconv.Quote(u.Vhost)
}

// address is the URL without user, password and query.
func (d Dialer) address() string {
	u, err := parse(d.URL)
	if err != nil {
		return ""
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.address()}
	if u.Vhost != "/" {
		shown.Path = "/" + u.Vhost
	}
	return shown.String()
}

// link is one connection and the socket below it.
type link struct {
	*amqp091.Connection
	wire   *coalescer
	closed chan *amqp091.Error   // from amqp091-go, capacity 1; closed by it
	blocks chan amqp091.Blocking // from amqp091-go; closed by it
	block  atomic.Pointer[block] // not nil: the broker blocks the connection
}

// block is a connection.blocked.
type block struct {
	reason string
	since  time.Time
}

// note remembers what the broker has said about blocking. One that does not read
// may take as long as it likes; see coalescer.setPatient.
func (l *link) note(b amqp091.Blocking) {
	l.wire.setPatient(b.Active)
	switch {
	case !b.Active:
		l.block.Store(nil)
	case l.block.Load() == nil:
		l.block.Store(&block{b.Reason, time.Now()})
	}
}

// connect opens one connection to URL for role. It blocks until the handshake is
// done, ctx ends or 30 s have passed, 10 s where there are other URLs.
func (d Dialer) connect(ctx context.Context, role string) (*link, error) {
	patience := dialPatience
	if len(d.URLs) > 1 {
		patience = roundPatience
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	u, err := parse(d.URL)
	if err != nil {
		return nil, err
	}
	login, err := d.login(ctx, u)
	if err != nil {
		return nil, err
	}
	var (
		wire    *coalescer
		release func() bool
	)
	config := amqp091.Config{
		Heartbeat: d.Heartbeat,
		SASL:      login,
		// A table of our own for every dial: the library writes to it.
		Properties: amqp091.Table{
			"product":         "magne-actors",
			"connection_name": d.ConnectionName + " " + role,
		},
		Dial: func(network, _ string) (net.Conn, error) {
			c, err := d.NetDial(ctx, network, u.address())
			if err != nil {
				return nil, err
			}
			wire = newCoalescer(c, d.WriteTimeout)
			// The library has no context: what ends its handshake is the end of
			// the socket.
			release = context.AfterFunc(ctx, wire.abort)
			return d.secure(ctx, wire, u)
		},
	}
	conn, err := amqp091.DialConfig(u.plain, config)
	if release != nil && !release() && err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = d.supported(conn.Properties)
	}
	if err != nil {
		if wire != nil {
			wire.abort()
		}
		return nil, withoutSecrets(dialError(ctx, err), login)
	}
	closed := conn.NotifyClose(make(chan *amqp091.Error, 1))
	blocks := conn.NotifyBlocked(make(chan amqp091.Blocking, 16))
	return &link{Connection: conn, wire: wire, closed: closed, blocks: blocks}, nil
}

// dialError gives a failed handshake its meaning.
func dialError(ctx context.Context, err error) error {
	reply, isReply := errors.AsType[*amqp091.Error](err)
	switch {
	case isReply && reply == amqp091.ErrSASL:
		return fmt.Errorf("%w: %w", broker.ErrDenied, errMechanism)
	case ctx.Err() != nil:
		return &meant{context.Cause(ctx), broker.ErrUnreachable}
	case isDenied(err):
		denied := fmt.Errorf("%w: %w", broker.ErrDenied, replied(reply))
		if reply.Code == amqp091.NotAllowed {
			return &meant{denied, broker.ErrVhost}
		}
		return denied
	case isReply && !reply.Server && reply.Code == amqp091.AccessRefused:
		return errSilence
	case isReply && reply.Server:
		return replied(reply)
	}
	if _, ok := errors.AsType[net.Error](err); ok { // refused, no route, no such host, a timeout
		return &meant{err, broker.ErrUnreachable}
	}
	return err
}

// ErrProduct: the broker is another one than Dialer.Product.
var ErrProduct = errors.New("another broker than expected listens there")

// supported refuses another product than was asked for, and a RabbitMQ that is
// too old. Other products are taken at their word.
func (d Dialer) supported(server amqp091.Table) error {
	product, _ := server["product"].(string)
	version, _ := server["version"].(string)
	if d.Product != "" && product != d.Product {
		return fmt.Errorf("%w: %q, want %q", ErrProduct, product, d.Product)
	}
	if product == rabbitMQ && !atLeast(version, oldest) {
		return fmt.Errorf("RabbitMQ %q is too old, need %d.%d or later", version, oldest[0], oldest[1])
	}
	return nil
}

const rabbitMQ = "RabbitMQ"

// atLeast compares a version with a release. What is not a number is older than all.
func atLeast(version string, release [2]int) bool {
	var have [2]int
	for i, part := range strings.SplitN(version, ".", 3) {
		if i < len(have) {
			have[i], _ = strconv.Atoi(part)
		}
	}
	return slices.Compare(have[:], release[:]) >= 0
}

// close ends the connection in good order within some two seconds, or at once
// when ctx ends.
func (l *link) close(ctx context.Context) {
	const patience = 2 * time.Second
	l.wire.setPatient(false)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		// An error means that it is closed already. Close would never time out.
		_ = l.CloseDeadline(time.Now().Add(patience))
	}()
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-closed:
	case <-t.C:
	case <-ctx.Done():
	}
	l.wire.abort()
}

// cause returns why the link died, given what amqp091-go said about it. It is
// nil when it said nothing: then it was closed by us.
func (l *link) cause(reply *amqp091.Error) error {
	if err := l.wire.failure(); err != nil {
		lost := fmt.Errorf("amqp: connection lost: %w", err)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return &meant{lost, broker.ErrSilent}
		}
		return lost
	}
	switch {
	case reply == nil:
		return nil
	case reply.Server:
		return fmt.Errorf("amqp: connection lost: %w", replied(reply))
	}
	lost := fmt.Errorf("amqp: connection lost: %s", tell(reply))
	// All that amqp091-go leaves of a read that took longer than the heartbeats is
	// its text.
	if strings.HasSuffix(reply.Reason, os.ErrDeadlineExceeded.Error()) {
		return &meant{lost, broker.ErrSilent}
	}
	return lost
}
