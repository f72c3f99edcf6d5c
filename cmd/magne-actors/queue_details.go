package main

import (
	"context"
	"errors"
	"net/url"
	"path/filepath"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/internal/management"
)

// queueDetails is what a queue is and has. What is not known is nil: AMQP tells
// only the name, how many messages are ready, and the consumers.
type queueDetails struct {
	Name      string `json:"name"`
	Ready     *int   `json:"ready"`
	Unacked   *int   `json:"unacked"`
	Consumers *int   `json:"consumers"`

	Type       string         `json:"type,omitempty"`
	State      string         `json:"state,omitempty"`
	Durable    *bool          `json:"durable,omitempty"`
	AutoDelete *bool          `json:"auto_delete,omitempty"`
	Exclusive  *bool          `json:"exclusive,omitempty"`
	Arguments  map[string]any `json:"arguments,omitempty"`
}

// errNobodyToAsk: neither a management API nor a control socket is there.
var errNobodyToAsk = errors.New("AMQP cannot list the queues of a broker")

// all asks for all queues those who know: the control socket for an embedded
// broker, the management API for RabbitMQ.
func (q *queues) all(ctx context.Context) ([]queueDetails, error) {
	switch {
	case q.f.socket != "":
		return q.fromSocket(ctx, q.f.socket)
	case q.managementURL() != "":
		return q.fromManagement(ctx)
	case q.file != nil && q.file.Broker.IsEmbedded():
		return q.fromSocket(ctx, "")
	}
	return nil, errNobodyToAsk
}

func (q *queues) managementURL() string {
	if q.f.management == "" && q.file != nil && !q.file.Broker.IsEmbedded() {
		return q.file.Broker.Management.Reveal()
	}
	return q.f.management
}

// api is the client of the management API, and the virtual host to ask for.
func (q *queues) api() (c *management.Client, vhost string, err error) {
	if c, err = management.New(q.managementURL()); err != nil {
		return nil, "", usageError(err, "--management or broker.management names the API")
	}
	u, err := url.Parse(q.dial.URL)
	if err != nil {
		return nil, "", errURL()
	}
	if !c.HasUser() && u.User != nil {
		password, _ := u.User.Password()
		c = c.As(u.User.Username(), password)
	}
	return c, q.vhost(), nil
}

func (q *queues) fromManagement(ctx context.Context) ([]queueDetails, error) {
	c, vhost, err := q.api()
	if err != nil {
		return nil, err
	}
	list, err := c.Queues(ctx, vhost)
	if err != nil {
		return nil, failed(exitUnreachable, err, "--management or broker.management names the API; on the broker, `rabbitmq-plugins enable rabbitmq_management` switches it on")
	}
	all := make([]queueDetails, len(list))
	for i, m := range list {
		all[i] = queueDetails{
			Name: m.Name, Ready: m.Ready, Unacked: m.Unacked, Consumers: m.Consumers, Type: m.Type, State: m.State,
			Durable: &m.Durable, AutoDelete: &m.AutoDelete, Exclusive: &m.Exclusive, Arguments: m.Arguments,
		}
	}
	return all, nil
}

// fromSocket asks the process that has the embedded broker; with "" where run and
// broker have their sockets.
func (q *queues) fromSocket(ctx context.Context, socket string) ([]queueDetails, error) {
	var status brokerStatus
	var err error
	if socket != "" {
		err = control.Client{Socket: socket}.Broker(ctx, &status)
	} else {
		_, err = findBroker(ctx, q.file, &status)
	}
	if err != nil {
		return nil, failed(exitUnreachable, err, "--socket names the control socket of `magne-actors run` or `magne-actors broker`")
	}
	return status.Queues, nil
}

// brokerStatus is what the commands need of an embedded broker's status.
type brokerStatus struct {
	Dir    string         `json:"dir"`
	Queues []queueDetails `json:"queues"`
}

// soloSocket is where `magne-actors broker` has its control socket.
func soloSocket(dir string) string { return filepath.Join(dir, "broker.sock") }
