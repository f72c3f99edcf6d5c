package metrics_test

import (
	"bytes"
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"

	"github.com/magne-actors/magne-actors/internal/metrics"
	"github.com/magne-actors/magne-actors/supervisor"
)

const page = `# HELP magne_up 1 while the root of the supervision tree is up, 0 while it starts and stops.
# TYPE magne_up gauge
magne_up 1
# HELP d How long.
# TYPE d histogram
d_bucket{pool="p",le="1"} 2
d_bucket{pool="p",le="+Inf"} 3
d_sum{pool="p"} 4.5
d_count{pool="p"} 3
`

func TestMerge(t *testing.T) {
	list, err := metrics.Merge(nil, map[int][]byte{
		2: []byte(page), 1: []byte(page), 3: []byte("magne_up{"), 4: []byte("# TYPE magne_up counter\nmagne_up 1\n"),
	})
	if err == nil || !strings.Contains(err.Error(), "copy 3") || !strings.Contains(err.Error(), "copy 4: magne_up is another type") {
		t.Errorf("error: %v", err)
	}
	var b bytes.Buffer
	for _, f := range list {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	want := `# HELP d How long.
# TYPE d histogram
d_bucket{copy="1",pool="p",le="1"} 2
d_bucket{copy="1",pool="p",le="+Inf"} 3
d_sum{copy="1",pool="p"} 4.5
d_count{copy="1",pool="p"} 3
d_bucket{copy="2",pool="p",le="1"} 2
d_bucket{copy="2",pool="p",le="+Inf"} 3
d_sum{copy="2",pool="p"} 4.5
d_count{copy="2",pool="p"} 3
# HELP magne_up 1 while the root of the supervision tree is up, 0 while it starts and stops.
# TYPE magne_up gauge
magne_up{copy="1"} 1
magne_up{copy="2"} 1
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestMergedHandler(t *testing.T) {
	c := metrics.New(metrics.Source{Version: "1", Tree: func() *supervisor.Node {
		return &supervisor.Node{ID: "root", Kind: "root", State: "up"}
	}})
	pages := func(context.Context) map[int][]byte { return map[int][]byte{1: []byte(page), 2: []byte("nonsense {")} }
	w := httptest.NewRecorder()
	metrics.MergedHandler(c, pages, nil).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, line := range []string{"magne_up 1", `magne_up{copy="1"} 1`, `d_sum{copy="1",pool="p"} 4.5`, "process_open_fds "} {
		if !strings.Contains(w.Body.String(), "\n"+line) {
			t.Errorf("no %q in\n%s", line, w.Body.String())
		}
	}
	if w.Code != 200 || strings.Contains(w.Body.String(), "magne_broker_up") {
		t.Errorf("status %d; only copies have a broker:\n%s", w.Code, w.Body.String())
	}
}
