package metrics_test

import (
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/magne-actors/magne-actors/internal/metrics"
	"github.com/magne-actors/magne-actors/supervisor"
)

const restartsHeader = `
# HELP magne_restarts_total Restarts of nodes of the supervision tree, by why the incarnation before had ended.
# TYPE magne_restarts_total counter
`

func TestRestartsHaveTheReasonOfTheEndBefore(t *testing.T) {
	boom := errors.New("boom")
	for _, tt := range []struct {
		name string
		end  supervisor.Event
		want string
	}{
		{"an error", supervisor.Event{Type: supervisor.EventFailed, Reason: "abnormal", Err: boom}, "error"},
		{"a panic", supervisor.Event{Type: supervisor.EventFailed, Reason: "abnormal", Err: &supervisor.PanicError{Value: 1}}, "panic"},
		{"too many restarts", supervisor.Event{Type: supervisor.EventFailed, Reason: "abnormal", Err: &supervisor.ExhaustedError{}}, "gave_up"},
		{"parked", supervisor.Event{Type: supervisor.EventParked, Err: &supervisor.ExhaustedError{}}, "parked"},
		{"abandoned", supervisor.Event{Type: supervisor.EventAbandoned, Reason: "shutdown"}, "abandoned"},
		{"nothing more to do", supervisor.Event{Type: supervisor.EventEnded, Reason: "normal"}, "normal"},
		{"with a sibling", supervisor.Event{Type: supervisor.EventEnded, Reason: "shutdown"}, "shutdown"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := metrics.New(metrics.Source{})
			for _, e := range []supervisor.Event{
				{Type: supervisor.EventStarted, Generation: 1},
				withGeneration(tt.end, 1),
				{Type: supervisor.EventBackoff, Generation: 1},
				{Type: "not_consuming"}, // as of the runtime
				{Type: supervisor.EventStarted, Generation: 2},
			} {
				e.ID, e.Kind = "router:mail", "router"
				c.Observe(e)
			}
			expect(t, c, restartsHeader+`magne_restarts_total{child="router:mail",kind="router",reason="`+tt.want+"\"} 1\n")
		})
	}
}

func withGeneration(e supervisor.Event, gen int) supervisor.Event {
	e.Generation = gen
	return e
}

// A child that fails at each start never says that it is up.
func TestRestartsThatFailCount(t *testing.T) {
	c := metrics.New(metrics.Source{})
	for gen := 1; gen <= 4; gen++ {
		c.Observe(supervisor.Event{Type: supervisor.EventFailed, ID: "mail/7", Kind: "slot", Generation: gen, Err: errors.New("exit 1")})
		c.Observe(supervisor.Event{Type: supervisor.EventBackoff, ID: "mail/7", Kind: "slot", Generation: gen})
	}
	expect(t, c, restartsHeader+`magne_restarts_total{child="mail",kind="slot",reason="error"} 3
# HELP magne_supervision_events_total Events of the supervision tree by type.
# TYPE magne_supervision_events_total counter
magne_supervision_events_total{type="backoff"} 4
magne_supervision_events_total{type="failed"} 4
`)
}

func TestARemovedPoolTakesItsSeriesAndItsPastWithIt(t *testing.T) {
	c := metrics.New(metrics.Source{})
	restart := func(id, kind string) {
		c.Observe(supervisor.Event{Type: supervisor.EventStarted, ID: id, Kind: kind, Generation: 1})
		c.Observe(supervisor.Event{Type: supervisor.EventStarted, ID: id, Kind: kind, Generation: 2})
	}
	for _, pool := range []string{"mail", "resize"} {
		restart(pool, "sup")
		restart("router:"+pool, "router")
		restart("pool:"+pool, "pool")
		restart(pool+"/1", "worker")
	}
	c.Observe(supervisor.Event{Type: supervisor.EventRemoved, ID: "resize/1", Kind: "worker", Generation: 2}) // scaled down
	if got := testutil.CollectAndCount(c, "magne_restarts_total"); got != 8 {
		t.Errorf("%d series, want 8: a worker that goes leaves its pool's", got)
	}
	c.Observe(supervisor.Event{Type: supervisor.EventRemoved, ID: "mail", Kind: "sup", Generation: 2})
	if got := testutil.CollectAndCount(c, "magne_restarts_total"); got != 4 {
		t.Errorf("%d series, want those 4 of the other pool", got)
	}
	// It comes back and begins anew, also the nodes below it.
	c.Observe(supervisor.Event{Type: supervisor.EventStarted, ID: "mail/1", Kind: "worker", Generation: 5})
	if got := testutil.CollectAndCount(c, "magne_restarts_total"); got != 4 {
		t.Errorf("%d series, want 4: what is seen first was not restarted", got)
	}
}
