package control

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/magne-actors/magne-actors/supervisor"
)

// Errors of a Client.
var (
	// ErrUnreachable says that no instance answered in time: exit code 3.
	ErrUnreachable = errors.New("no instance answers")
	// ErrNoBroker says that there is no broker inside the instance that answered.
	ErrNoBroker = errors.New("the instance has no embedded broker")
	// ErrNotFound says that the instance that answered has no such node, pool or task.
	ErrNotFound = errors.New("no such node")
	// ErrNotOffered says that the instance that answered cannot do that.
	ErrNotOffered = errors.New("the instance does not offer this")
	// ErrBusy says that too many clients wait already; ask again without waiting.
	ErrBusy = errors.New("too many clients wait for news")
	// ErrDenied says that the token is missing or wrong. Such an error wraps
	// ErrUnreachable, too.
	ErrDenied = errors.New("the token is missing or wrong")
	// ErrAddress says that nothing can listen at a socket's path or an address.
	ErrAddress = errors.New("nothing can listen there")
)

// clientTimeout bounds a whole request; the server gives up after two seconds.
const clientTimeout = 5 * time.Second

// changeTimeout bounds a request that changes something; the server gives up a
// second earlier.
const changeTimeout = time.Minute

// maxAnswer is far above a tree of 100,000 nodes.
const maxAnswer = 64 << 20

// Client asks the instance that listens on Socket, or on Address if that is set.
// It keeps nothing open between calls and is safe for concurrent use.
type Client struct {
	Socket string

	Address string         // host:port, or https://host:port
	Token   string         // that the requests to Address bear
	CAs     *x509.CertPool // of https; nil: those of the system
}

// Tree returns a snapshot of the supervision tree. It blocks for at most five
// seconds. The error wraps ErrUnreachable when nobody listens, when the socket
// may not be opened, and when the instance does not answer in time.
func (c Client) Tree(ctx context.Context) (*supervisor.Node, error) {
	n := new(supervisor.Node)
	if err := c.get(ctx, "/v1/tree", n); err != nil {
		return nil, err
	}
	return n, nil
}

// Inspect returns the tree below the node with that id, with all that is known of
// the nodes; blocking and errors are those of Tree, and ErrNotFound.
func (c Client) Inspect(ctx context.Context, id string) (*supervisor.Node, error) {
	n := new(supervisor.Node)
	if err := c.get(ctx, "/v1/nodes/"+escape(id), n); err != nil {
		return nil, err
	}
	return n, nil
}

// Events returns the events after the one with that number, oldest first, as far
// as the instance has kept them; blocking and errors are those of Tree.
func (c Client) Events(ctx context.Context, after uint64) ([]Event, error) {
	var list []Event
	err := c.get(ctx, "/v1/events?after="+strconv.FormatUint(after, 10), &list)
	return list, err
}

// Tasks returns the tasks that run; blocking and errors are those of Tree.
func (c Client) Tasks(ctx context.Context) ([]Task, error) {
	var list []Task
	err := c.get(ctx, "/v1/tasks", &list)
	return list, err
}

// Status returns the summary of the tree; blocking and errors are those of Tree.
func (c Client) Status(ctx context.Context) (*Status, error) {
	s := new(Status)
	if err := c.get(ctx, "/v1/status", s); err != nil {
		return nil, err
	}
	return s, nil
}

// Broker decodes the status of the broker inside the instance into status;
// blocking and errors are those of Tree, and ErrNoBroker.
func (c Client) Broker(ctx context.Context, status any) error {
	return c.get(ctx, "/v1/broker", status)
}

func (c Client) get(ctx context.Context, path string, into any) error {
	return c.ask(ctx, clientTimeout, request{method: http.MethodGet, path: path}, into)
}

// request is what is asked for; path has the query.
type request struct {
	method, path string
	body         []byte
}

func (c Client) ask(ctx context.Context, limit time.Duration, q request, into any) error {
	r, err := c.exchange(ctx, limit, q)
	if err != nil {
		return err
	}
	if r.code != http.StatusOK {
		return c.refused(r)
	}
	if err := json.Unmarshal(r.body, into); err != nil {
		return fmt.Errorf("control: %s: decode answer: %w", c, err)
	}
	return nil
}

// reply is an answer, whatever its status.
type reply struct {
	code   int
	status string
	body   []byte
}

func (c Client) exchange(ctx context.Context, limit time.Duration, q request) (r reply, err error) {
	base, err := c.base()
	if err != nil {
		return r, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, q.method, base+q.path, bytes.NewReader(q.body))
	if err != nil {
		return r, fmt.Errorf("control: make request: %w", err)
	}
	if c.Address != "" && c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	resp, err := c.transport().RoundTrip(req)
	if err != nil {
		return r, fmt.Errorf("control: %s: %w: %w", c, ErrUnreachable, err)
	}
	defer resp.Body.Close()
	r = reply{code: resp.StatusCode, status: resp.Status}
	r.body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return r, fmt.Errorf("control: %s: %w: %w", c, ErrUnreachable, err)
	}
	return r, nil
}

// String says where the client asks, without the token.
func (c Client) String() string {
	if c.Address != "" {
		return "address " + strconv.Quote(c.Address)
	}
	return "socket " + strconv.Quote(c.Socket)
}

// base is what the URLs begin with.
func (c Client) base() (string, error) {
	if c.Address == "" {
		return "http://magne-actors", checkPath(c.Socket)
	}
	scheme, host, err := checkAddress(c.Address)
	return scheme + "://" + host, err
}

// transport dials once, and a socket whatever the URL says.
func (c Client) transport() *http.Transport {
	t := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.CAs}}
	if c.Address == "" {
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", c.Socket)
		}
	}
	return t
}

// refused is the error that an answer other than 200 stands for.
func (c Client) refused(r reply) error {
	var p problem
	if r.code == http.StatusTemporaryRedirect { // of an id with . or // in it
		return fmt.Errorf("control: %s: %w", c, ErrNotFound)
	}
	if json.Unmarshal(r.body, &p) != nil || p.Error == "" {
		return fmt.Errorf("control: %s: unexpected answer %s", c, r.status)
	}
	switch r.code {
	case http.StatusNotFound:
		return fmt.Errorf("control: %s: %w", c, notThere(p))
	case http.StatusConflict, http.StatusBadRequest:
		return &refusal{p}
	case http.StatusUnprocessableEntity:
		return &InvalidError{p.Mistakes}
	case http.StatusNotImplemented:
		return fmt.Errorf("control: %s: %w: %s", c, ErrNotOffered, p.Error)
	case http.StatusTooManyRequests:
		return fmt.Errorf("control: %s: %w", c, ErrBusy)
	case http.StatusUnauthorized:
		return fmt.Errorf("control: %s: %w: %w", c, ErrUnreachable, ErrDenied)
	}
	return fmt.Errorf("control: %s: %w: %s", c, ErrUnreachable, p.Error)
}

// refusal is the error of a request that was refused, or has failed.
type refusal struct{ problem }

func (r *refusal) Error() string { return r.problem.Error }

func notThere(p problem) error {
	if p.Error == ErrNoBroker.Error() {
		return ErrNoBroker
	}
	return ErrNotFound
}
