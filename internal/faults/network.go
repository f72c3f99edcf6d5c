package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// network is the way to the broker, which can be made bad: toxiproxy, with one
// proxy in this process.
type network struct {
	proxy *toxiproxy.Proxy
	addr  string // where it listens; the same for as long as it lives
}

// newNetwork listens on a port of its own. close ends it.
func newNetwork(upstream string) (*network, error) {
	zerolog.SetGlobalLevel(zerolog.Disabled) // its bandwidth toxic has a logger of its own, to stderr
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := toxiproxy.NewProxy(server, "broker", "127.0.0.1:0", upstream)
	if err := p.Start(); err != nil {
		return nil, fmt.Errorf("faults: toxiproxy: %w", err)
	}
	return &network{proxy: p, addr: p.Listen}, nil
}

// Directions of bytes, in toxiproxy's words.
const (
	toInstance = "downstream"
	toBroker   = "upstream"
)

// toxic is one of toxiproxy's, with the attributes that its README lists.
type toxic struct {
	Type       string         `json:"type"`
	Stream     string         `json:"stream"`
	Attributes map[string]any `json:"attributes"`
}

// add makes the network bad, for the connections that there are and for new ones.
func (n *network) add(toxics ...toxic) error {
	for _, t := range toxics {
		text, err := json.Marshal(t)
		if err != nil {
			return fmt.Errorf("faults: toxic %s: %w", t.Type, err)
		}
		if _, err := n.proxy.Toxics.AddToxicJson(bytes.NewReader(text)); err != nil {
			return fmt.Errorf("faults: toxic %s: %w", t.Type, err)
		}
	}
	return nil
}

// reset makes the network good again.
func (n *network) reset(ctx context.Context) { n.proxy.Toxics.ResetToxics(ctx) }

// down refuses connections and ends those that there are.
func (n *network) down() { n.proxy.Stop() }

// up ends down.
func (n *network) up() error {
	if err := n.proxy.Start(); err != nil {
		return fmt.Errorf("faults: toxiproxy: %w", err)
	}
	return nil
}

func (n *network) close() { n.proxy.Stop() }
