package e2e_test

import (
	"fmt"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/internal/testenv"
	"github.com/magne-actors/magne-actors/supervisor"
)

// TestRemoveWithCopies: a pool is removed by a reload while RabbitMQ takes none of its
// dead letters. What could not be copied is back in the queue, and a pool that comes
// later copies it: nothing is lost. There twice are at most those whose copy was on its
// way to RabbitMQ when the pool went.
func TestRemoveWithCopies(t *testing.T) {
	t.Parallel()
	const n, slots = 60, 4
	node := testenv.Private(t, testenv.Options{})
	r := dial(t, node.URL)
	queue := r.queue("")
	pool := fmt.Sprintf("p: {queue: %s, slots: %d, retry: {max_attempts: 1}, tasks: {bad: {builtin: fail}}}\n", queue, slots)
	const other = "other: {queue: other, tasks: {t: {builtin: echo}}}\n"
	a := start(t, setup{url: node.URL, top: "shutdown: 2s", pools: pool + other})
	a.look(0, "pause", "p")
	for i := range n {
		r.publish(queue, amqp091.Publishing{MessageId: fmt.Sprint(i), ContentType: "application/json", DeliveryMode: amqp091.Persistent, Body: []byte(`{"task":"bad","args":["x"]}`)})
	}
	alarm(t, node, true)
	a.look(0, "resume", "p")
	a.untilNode("router:p", "copies wait", func(b *supervisor.Node) bool { return b.InFlight != nil && *b.InFlight > 0 })
	a.rewrite(pool, "")
	if got := fmt.Sprint(a.changes("reload")); got != "map[p:remove]" {
		t.Errorf("reload: %s", got)
	}
	alarm(t, node, false)
	t.Logf("%d dead letters and %d in the queue after the removal", r.ready(dead(queue)), r.ready(queue))
	a.rewrite(other, pool+"    "+other)
	if got := fmt.Sprint(a.changes("reload")); got != "map[p:add]" {
		t.Errorf("reload: %s", got)
	}
	r.holds(queue, 0)
	a.stop()
	total := r.ready(dead(queue))
	ids := map[string]bool{}
	for _, d := range r.take(dead(queue), total) {
		ids[d.MessageId] = true
	}
	if len(ids) != n || total > n+slots {
		t.Errorf("%d different ids of %d dead letters, want %d and at most %d twice", len(ids), total, n, slots)
	}
}
