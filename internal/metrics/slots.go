package metrics

import "github.com/magne-actors/magne-actors/supervisor"

// collectSlot emits the figures of one worker process; those that are not known,
// because it does not run or not yet, are left out.
func (c *Collector) collectSlot(e emitter, n *supervisor.Node) {
	pool, slot := seat(n.ID)
	if n.RSS > 0 {
		e.emit(c.fams.slotMemory, float64(n.RSS), pool, slot)
		e.emit(c.fams.slotCPU, n.CPU/100, pool, slot)
	}
	for _, r := range []struct {
		result string
		n      *int64
	}{{"done", n.TasksDone}, {"failed", n.TasksFailed}} {
		if r.n != nil {
			e.emit(c.fams.slotTasks, float64(*r.n), pool, slot, r.result)
		}
	}
}
