package e2e_test

import (
	"testing"

	"github.com/magne-actors/magne-actors/supervisor"
)

// TestSpoolKilled: the instance is killed with -9 again and again, while dead letters go
// into the spool and while they come out of it. Each is there in the end, under its id.
func TestSpoolKilled(t *testing.T) {
	t.Parallel()
	const n, kills = 400, 4
	h := hopeless(t, n)
	node, r, queue, dir, s, a := h.node, h.r, h.queue, h.dir, h.setup, h.app

	alarm(t, node, true)
	for i := range kills {
		a.again(t, s)
		a.untilNode("broker", "some more are in the spool", func(b *supervisor.Node) bool { return b.Spool != nil && b.Spool.Messages >= n*(i+1)/(kills+1) })
		a.kill()
	}
	t.Logf("%d of %d messages were in the spool at the last kill", spoolOf(t, dir).Messages, n)
	alarm(t, node, false)
	for i := range kills {
		a.again(t, s)
		eventually(t, "some more are published", func() (bool, any) {
			got := r.ready(dead(queue))
			return got >= min(n, n*(i+1)/(kills+1)), got
		})
		a.kill()
	}
	a.again(t, s)
	a.untilNode("broker", "the spool is empty", func(b *supervisor.Node) bool { return b.Spool != nil && b.Spool.Messages == 0 })
	r.holds(queue, 0)
	total := r.ready(dead(queue))
	ids := map[string]bool{}
	for _, d := range r.take(dead(queue), total) {
		ids[d.MessageId] = true
	}
	if len(ids) != n {
		t.Errorf("%d different ids of %d dead letters, want %d", len(ids), total, n)
	}
	t.Logf("%d dead letters, %d of them twice", total, total-n)
	a.stop()
}
