package metrics_test

import (
	"fmt"
	"net/http/httptest"
	"strings"

	"github.com/magne-actors/magne-actors/actors"
	"github.com/magne-actors/magne-actors/internal/metrics"
	"github.com/magne-actors/magne-actors/supervisor"
)

func Example() {
	c := metrics.New(metrics.Source{
		Version: "0.1.0",
		Tree:    func() *supervisor.Node { return &supervisor.Node{ID: "root", Kind: "root", State: "up"} },
		Stats:   func() []actors.PoolStats { return []actors.PoolStats{{Pool: "mail", Delivered: 17}} },
	})

	w := httptest.NewRecorder()
	metrics.Handler(c, nil).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "magne_up") || strings.HasPrefix(line, "magne_deliveries_total") {
			fmt.Print(line)
		}
	}
	// Output:
	// magne_deliveries_total{pool="mail"} 17
	// magne_up 1
}
