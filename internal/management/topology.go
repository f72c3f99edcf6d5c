package management

import (
	"context"
	"time"
)

// Exchange is what the API knows of an exchange.
type Exchange struct {
	Name       string         `json:"name"` // "" is the default exchange
	Type       string         `json:"type"`
	Durable    bool           `json:"durable"`
	AutoDelete bool           `json:"auto_delete"`
	Internal   bool           `json:"internal"`
	Arguments  map[string]any `json:"arguments"`
}

// Binding leads from an exchange to a queue or another exchange.
type Binding struct {
	Source          string         `json:"source"`
	Destination     string         `json:"destination"`
	DestinationType string         `json:"destination_type"` // queue or exchange
	RoutingKey      string         `json:"routing_key"`
	Arguments       map[string]any `json:"arguments"`
}

// Policy gives queues or exchanges whose names match arguments that they were not
// declared with.
type Policy struct {
	Name       string         `json:"name"`
	Pattern    string         `json:"pattern"`  // a regular expression, of Erlang
	ApplyTo    string         `json:"apply-to"` // all, queues, exchanges, and others since 3.12
	Priority   int            `json:"priority"` // the highest one that matches applies
	Definition map[string]any `json:"definition"`
}

// Overview is what the API says of the cluster.
type Overview struct {
	Version string `json:"rabbitmq_version"`
	Product string `json:"product_name"`
	Cluster string `json:"cluster_name"`
	Node    string `json:"node"` // that has answered
	Erlang  string `json:"erlang_version"`

	// Clock is that of the node when it answered, to the second; zero where it does
	// not tell.
	Clock time.Time `json:"-"`
}

// Node is a member of the cluster. A figure that is not known is zero: of a node
// that is down, or has just begun.
type Node struct {
	Name        string   `json:"name"`
	Running     bool     `json:"running"`
	MemoryAlarm bool     `json:"mem_alarm"`
	DiskAlarm   bool     `json:"disk_free_alarm"`
	Files       int      `json:"fd_used"`
	FilesLimit  int      `json:"fd_total"`
	Partitions  []string `json:"partitions"`
}

// Exchanges returns all exchanges of a virtual host. It blocks for at most ten
// seconds, as all that follow.
func (c *Client) Exchanges(ctx context.Context, vhost string) ([]Exchange, error) {
	var all []Exchange
	_, err := c.get(ctx, &all, vhost, "exchanges", vhost)
	return all, err
}

// Bindings returns all bindings of a virtual host, those of the default exchange
// too.
func (c *Client) Bindings(ctx context.Context, vhost string) ([]Binding, error) {
	var all []Binding
	_, err := c.get(ctx, &all, vhost, "bindings", vhost)
	return all, err
}

// Policies returns the policies of a virtual host; the user needs one of the tags
// policymaker, monitoring and administrator.
func (c *Client) Policies(ctx context.Context, vhost string) ([]Policy, error) {
	var all []Policy
	_, err := c.get(ctx, &all, vhost, "policies", vhost)
	return all, err
}

// OperatorPolicies returns those of the operator, which are merged with the others.
func (c *Client) OperatorPolicies(ctx context.Context, vhost string) ([]Policy, error) {
	var all []Policy
	_, err := c.get(ctx, &all, vhost, "operator-policies", vhost)
	return all, err
}

// Overview returns what the API says of the cluster.
func (c *Client) Overview(ctx context.Context) (Overview, error) {
	var o Overview
	clock, err := c.get(ctx, &o, "", "overview")
	o.Clock = clock
	return o, err
}

// Nodes returns the members of the cluster; the user needs the tag monitoring or
// administrator.
func (c *Client) Nodes(ctx context.Context) ([]Node, error) {
	var all []Node
	_, err := c.get(ctx, &all, "", "nodes")
	return all, err
}
