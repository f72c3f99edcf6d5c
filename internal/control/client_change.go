package control

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Query says which events, or entries of the log, are wanted. The zero value is
// all that the instance remembers.
type Query struct {
	After uint64        // only those with higher numbers
	Wait  time.Duration // for one, if there is none; at most a minute
	Tail  int           // only so many, the newest; 0 means all
	Node  string        // only those of this node and of those below it
	Types []string      // only events of these types
	Level slog.Leveler  // only entries of at least this level; nil means all
}

func (q Query) values() url.Values {
	v := url.Values{"type": q.Types}
	v.Set("after", strconv.FormatUint(q.After, 10))
	if q.Wait > 0 {
		v.Set("wait", q.Wait.String())
	}
	if q.Tail > 0 {
		v.Set("tail", strconv.Itoa(q.Tail))
	}
	if q.Node != "" {
		v.Set("node", q.Node)
	}
	return v
}

// EventsOf returns events, oldest first. It blocks for at most q.Wait and five
// seconds; the errors are those of Tree, and ErrBusy.
func (c Client) EventsOf(ctx context.Context, q Query) ([]Event, error) {
	var list []Event
	err := c.ask(ctx, q.Wait+clientTimeout, request{http.MethodGet, "/v1/events?" + q.values().Encode(), nil}, &list)
	return list, err
}

// Logs returns entries of the log, oldest first; blocking and errors are those of
// EventsOf, and ErrNotOffered.
func (c Client) Logs(ctx context.Context, q Query) ([]Entry, error) {
	v := q.values()
	if q.Level != nil {
		v.Set("level", q.Level.Level().String())
	}
	var list []Entry
	err := c.ask(ctx, q.Wait+clientTimeout, request{http.MethodGet, "/v1/logs?" + v.Encode(), nil}, &list)
	return list, err
}

// The calls that change something block for at most a minute; what they asked for
// goes on then. Their errors wrap ErrUnreachable as those of Tree do, ErrNotFound,
// or ErrNotOffered, or say why it could not be done.

// Restart has the node with that id run anew and returns nil when it is up.
func (c Client) Restart(ctx context.Context, id string) error {
	return c.post(ctx, "/v1/restart/"+escape(id), nil, nil, &done{})
}

// Scale gives a pool so many workers, and returns nil when they are up, or those
// that are too many have ended.
func (c Client) Scale(ctx context.Context, pool string, workers int) error {
	return c.post(ctx, "/v1/scale/"+escape(pool), url.Values{"workers": {strconv.Itoa(workers)}}, nil, &done{})
}

// Pause has a pool take no more tasks until Resume; those that run go on.
func (c Client) Pause(ctx context.Context, pool string) error {
	return c.post(ctx, "/v1/pause/"+escape(pool), nil, nil, &done{})
}

// Resume ends a Pause.
func (c Client) Resume(ctx context.Context, pool string) error {
	return c.post(ctx, "/v1/resume/"+escape(pool), nil, nil, &done{})
}

// Limit sets the watermarks of a pool; a low below 0 is half of high.
func (c Client) Limit(ctx context.Context, pool string, high, low int) error {
	v := url.Values{"high": {strconv.Itoa(high)}}
	if low >= 0 {
		v.Set("low", strconv.Itoa(low))
	}
	return c.post(ctx, "/v1/limit/"+escape(pool), v, nil, &done{})
}

// Cancel cancels the running tasks with that id and returns how many.
func (c Client) Cancel(ctx context.Context, id string) (int, error) {
	var n canceled
	err := c.post(ctx, "/v1/cancel", url.Values{"task": {id}}, nil, &n)
	return n.Cancelled, err
}

// Signal sends a signal, by its name or number, to the process of a slot.
func (c Client) Signal(ctx context.Context, slot, signal string) error {
	return c.post(ctx, "/v1/signal/"+escape(slot), url.Values{"signal": {signal}}, nil, &done{})
}

// Recycle puts another process in the place of that of a slot, once its tasks have
// ended.
func (c Client) Recycle(ctx context.Context, slot string) error {
	return c.post(ctx, "/v1/recycle/"+escape(slot), nil, nil, &done{})
}

// Kill kills the process of a slot.
func (c Client) Kill(ctx context.Context, slot string) error {
	return c.post(ctx, "/v1/kill/"+escape(slot), nil, nil, &done{})
}

// Reload has the instance read its configuration again and returns what it has
// changed, also together with an error. The error is an *InvalidError if the
// configuration is wrong: nothing is changed then.
func (c Client) Reload(ctx context.Context) ([]Change, error) {
	var list []Change
	err := c.post(ctx, "/v1/reload", nil, nil, &list)
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.Changes, err
	}
	return list, err
}

// Diff returns what a reload of that text would change; the error is as that of
// Reload.
func (c Client) Diff(ctx context.Context, yaml []byte) ([]Change, error) {
	var list []Change
	err := c.post(ctx, "/v1/diff", nil, yaml, &list)
	return list, err
}

func (c Client) post(ctx context.Context, path string, v url.Values, body []byte, into any) error {
	if len(v) > 0 {
		path += "?" + v.Encode()
	}
	return c.ask(ctx, changeTimeout, request{http.MethodPost, path, body}, into)
}

// escape makes an id a part of a path; its slashes stay.
func escape(id string) string { return (&url.URL{Path: id}).EscapedPath() }
