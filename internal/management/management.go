package management

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// ErrDenied says that the API refused user and password, or their rights.
var ErrDenied = errors.New("the management API refused user, password or their rights")

const (
	timeout   = 10 * time.Second // for a whole request
	maxAnswer = 256 << 20        // some 100,000 queues
)

// Queue is what the API knows of a queue. A number that it does not know yet is
// nil: it learns them some seconds after a queue was declared.
type Queue struct {
	Name       string         `json:"name"`
	Type       string         `json:"type"`
	State      string         `json:"state"`
	Durable    bool           `json:"durable"`
	AutoDelete bool           `json:"auto_delete"`
	Exclusive  bool           `json:"exclusive"`
	Arguments  map[string]any `json:"arguments"`
	Ready      *int           `json:"messages_ready"`
	Unacked    *int           `json:"messages_unacknowledged"`
	Consumers  *int           `json:"consumers"`
}

// Client asks one API. New makes it.
type Client struct {
	base           url.URL
	user, password string
}

// New takes the address of the API with user and password, such as
// http://guest:guest@127.0.0.1:15672/. Its error does not quote it.
func New(address string) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, errors.New("management: not the address of an API: write http://user:password@host:15672/, special characters percent-encoded")
	}
	c := &Client{base: url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}}
	if u.User != nil {
		c.user = u.User.Username()
		c.password, _ = u.User.Password()
	}
	return c, nil
}

// HasUser reports whether the address had a user.
func (c *Client) HasUser() bool { return c.user != "" }

// As returns a Client that logs in as user.
func (c *Client) As(user, password string) *Client {
	return &Client{base: c.base, user: user, password: password}
}

// Queues returns all queues of a virtual host, by name. It blocks for at most ten
// seconds.
func (c *Client) Queues(ctx context.Context, vhost string) ([]Queue, error) {
	var queues []Queue
	_, err := c.get(ctx, &queues, vhost, "queues", vhost)
	return queues, err
}

// get asks for a path and decodes the answer into v. vhost is for messages only.
// It returns the clock of the server, zero where it does not tell.
func (c *Client) get(ctx context.Context, v any, vhost string, path ...string) (clock time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	at := c.base.JoinPath("api")
	for _, p := range path {
		at = at.JoinPath(url.PathEscape(p))
	}
	at.RawQuery = url.Values{"sort": {"name"}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return clock, fmt.Errorf("management: make request: %w", err)
	}
	req.SetBasicAuth(c.user, c.password)
	resp, err := (&http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment}).RoundTrip(req)
	if err != nil {
		return clock, fmt.Errorf("management: ask %s: %w", c.base.Host, err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return clock, fmt.Errorf("management: ask %s: %w", c.base.Host, ErrDenied)
	case http.StatusNotFound:
		return clock, fmt.Errorf("management: ask %s: no virtual host %q, or no management API there", c.base.Host, vhost)
	default:
		return clock, fmt.Errorf("management: ask %s: unexpected answer %s", c.base.Host, resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(v); err != nil {
		return clock, fmt.Errorf("management: answer of %s: %w", c.base.Host, err)
	}
	clock, _ = http.ParseTime(resp.Header.Get("Date"))
	return clock, nil
}
