package control

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// Metrics returns the figures of the instance in the text format of Prometheus;
// blocking and errors are those of Tree, and ErrNotOffered.
func (c Client) Metrics(ctx context.Context) ([]byte, error) {
	r, err := c.exchange(ctx, clientTimeout, request{method: http.MethodGet, path: "/metrics"})
	if err == nil && r.code != http.StatusOK {
		err = c.refused(r)
	}
	return r.body, err
}

// Report decodes how each part of the instance does into detail, whether it is
// ready or not; blocking and errors are those of Tree.
func (c Client) Report(ctx context.Context, detail any) error {
	r, err := c.exchange(ctx, clientTimeout, request{method: http.MethodGet, path: "/readyz"})
	if err != nil {
		return err
	}
	var answer struct{ Detail json.RawMessage }
	if json.Unmarshal(r.body, &answer) != nil || answer.Detail == nil {
		return c.refused(r)
	}
	if err := json.Unmarshal(answer.Detail, detail); err != nil {
		return fmt.Errorf("control: %s: decode answer: %w", c, err)
	}
	return nil
}
