package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/magne-actors/magne-actors/supervisor"
)

// ErrUnreachable says that no instance answered on the socket in time: exit
// code 3.
var ErrUnreachable = errors.New("no instance answers")

// ErrNoBroker says that there is no broker inside the instance that answered.
var ErrNoBroker = errors.New("the instance has no embedded broker")

// ErrNotFound says that the instance that answered has no node with the id.
var ErrNotFound = errors.New("no such node")

// clientTimeout bounds a whole request; the server gives up after two seconds.
const clientTimeout = 5 * time.Second

// changeTimeout bounds a request that changes something; the server gives up a
// second earlier.
const changeTimeout = time.Minute

// maxAnswer is far above a tree of 100,000 nodes.
const maxAnswer = 64 << 20

// Client asks the instance that listens on Socket. It keeps nothing open
// between calls and is safe for concurrent use.
type Client struct {
	Socket string
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

// Restart has the node with that id run anew and returns nil when it does. It
// blocks for at most a minute; what it asked for goes on then. The error wraps
// ErrUnreachable as that of Tree does, or ErrNotFound, or says why the node is
// not up.
func (c Client) Restart(ctx context.Context, id string) error {
	return c.ask(ctx, http.MethodPost, "/v1/restart/"+escape(id), changeTimeout, new(struct{}))
}

// escape makes an id a part of a path; its slashes stay.
func escape(id string) string { return (&url.URL{Path: id}).EscapedPath() }

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
	return c.ask(ctx, http.MethodGet, path, clientTimeout, into)
}

func (c Client) ask(ctx context.Context, method, path string, limit time.Duration, into any) error {
	if err := checkPath(c.Socket); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://magne-actors"+path, nil)
	if err != nil {
		return fmt.Errorf("control: make request: %w", err)
	}
	resp, err := c.transport().RoundTrip(req)
	if err != nil {
		return fmt.Errorf("control: socket %q: %w: %w", c.Socket, ErrUnreachable, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("control: socket %q: %w: %w", c.Socket, ErrUnreachable, err)
	}
	return c.decode(resp, body, into)
}

func (c Client) decode(resp *http.Response, body []byte, into any) error {
	if resp.StatusCode != http.StatusOK {
		return c.refused(resp, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("control: socket %q: decode answer: %w", c.Socket, err)
	}
	return nil
}

// refused is the error that an answer other than 200 stands for.
func (c Client) refused(resp *http.Response, body []byte) error {
	var p problem
	switch {
	case resp.StatusCode == http.StatusTemporaryRedirect: // of an id with . or // in it
		return fmt.Errorf("control: socket %q: %w", c.Socket, ErrNotFound)
	case json.Unmarshal(body, &p) != nil || p.Error == "":
		return fmt.Errorf("control: socket %q: unexpected answer %s", c.Socket, resp.Status)
	case resp.StatusCode == http.StatusNotFound:
		return fmt.Errorf("control: socket %q: %w", c.Socket, notThere(p))
	case resp.StatusCode == http.StatusConflict:
		return fmt.Errorf("control: socket %q: %s", c.Socket, p.Error)
	}
	return fmt.Errorf("control: socket %q: %w: %s", c.Socket, ErrUnreachable, p.Error)
}

// notThere is what a 404 of ours says.
func notThere(p problem) error {
	if p.Error == ErrNoBroker.Error() {
		return ErrNoBroker
	}
	return ErrNotFound
}

// transport dials the socket whatever the URL says, once.
func (c Client) transport() *http.Transport {
	return &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", c.Socket)
		},
	}
}
