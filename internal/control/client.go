package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/magne-actors/magne-actors/supervisor"
)

// ErrUnreachable says that no instance answered on the socket in time: exit
// code 3.
var ErrUnreachable = errors.New("no instance answers")

// ErrNoBroker says that there is no broker inside the instance that answered.
var ErrNoBroker = errors.New("the instance has no embedded broker")

// clientTimeout bounds a whole request; the server gives up after two seconds.
const clientTimeout = 5 * time.Second

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
	if err := checkPath(c.Socket); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://magne-actors"+path, nil)
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
		var p problem
		if json.Unmarshal(body, &p) != nil || p.Error == "" {
			return fmt.Errorf("control: socket %q: unexpected answer %s", c.Socket, resp.Status)
		}
		if resp.StatusCode == http.StatusNotFound {
			return fmt.Errorf("control: socket %q: %w", c.Socket, ErrNoBroker)
		}
		return fmt.Errorf("control: socket %q: %w: %s", c.Socket, ErrUnreachable, p.Error)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("control: socket %q: decode answer: %w", c.Socket, err)
	}
	return nil
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
