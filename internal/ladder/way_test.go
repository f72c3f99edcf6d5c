package ladder_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/ladder"
)

// ground is a session that says what was declared, and answers as it is told.
type ground struct {
	broker.Session
	did  []string
	exit error // of the way to a queue, while there is no ladder
	all  error // of the ladder
}

func (g *ground) Apply(_ context.Context, t broker.Topology) error {
	if len(t.Queues) > 0 {
		g.did = append(g.did, "ladder")
		if g.all == nil {
			g.exit = nil
		}
		return g.all
	}
	g.did = append(g.did, t.Bindings[0].Queue)
	return g.exit
}

// TestWay: what is missing is declared, once for each session.
func TestWay(t *testing.T) {
	for name, tt := range map[string]struct {
		ground ground
		doubt  bool
		queues string // for which there are messages
		want   string // what is declared
		err    error  // of the last one
	}{
		"all is there":     {queues: "a a b a", want: "a b"},
		"no ladder":        {ground: ground{exit: broker.ErrTopology}, queues: "a a b", want: "a ladder a b"},
		"no queue":         {ground: ground{exit: broker.ErrTopology, all: broker.ErrTopology}, queues: "a a", want: "a ladder a", err: broker.ErrTopology},
		"no right":         {ground: ground{exit: broker.ErrForbidden}, queues: "a a", want: "a"},
		"no right to all":  {ground: ground{exit: broker.ErrTopology, all: broker.ErrForbidden}, queues: "a a", want: "a ladder"},
		"lost":             {ground: ground{exit: broker.ErrUnknown}, queues: "a a", want: "a a", err: broker.ErrUnknown},
		"something misses": {doubt: true, queues: "a a b", want: "ladder a b"},
	} {
		t.Run(name, func(t *testing.T) {
			var w ladder.Way
			for range 2 { // a new session begins anew
				g := tt.ground
				if tt.doubt {
					w.Doubt("a")
				}
				var err error
				for queue := range strings.FieldsSeq(tt.queues) {
					err = w.Pave(t.Context(), &g, queue)
				}
				if !errors.Is(err, tt.err) {
					t.Errorf("%v, want %v", err, tt.err)
				}
				if got := strings.Join(g.did, " "); got != tt.want {
					t.Errorf("declared %s, want %s", got, tt.want)
				}
			}
		})
	}
}

// TestPostpone: what is due is not sent on the ladder, and no map is changed.
func TestPostpone(t *testing.T) {
	now := time.Now()
	headers := map[string]any{"x": "y"}
	for wait, delayed := range map[time.Duration]bool{time.Minute: true, 0: false, -time.Minute: false} {
		p := &broker.Publication{RoutingKey: "work"}
		p.Headers = headers
		ladder.Postpone(p, "work", now.Add(wait), now)
		queue, ok := ladder.Delayed(p)
		if queue != "work" || ok != delayed || delayed == (p.RoutingKey == "work") {
			t.Errorf("%v: %q, %t; %+v", wait, queue, ok, p)
		}
		if names := slices.Sorted(maps.Keys(p.Headers)); len(names) != 3 || len(headers) != 1 {
			t.Errorf("%v: headers %v", wait, names)
		}
	}
}
