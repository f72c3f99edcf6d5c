package engine

import (
	"slices"
	"strings"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/queueargs"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/routing"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// DeclareQueue declares a queue; passive only asks whether it is there. It waits
// for the disk if the queue is durable and new.
func (e *Engine) DeclareQueue(o *Owner, spec QueueSpec, passive bool) (QueueOK, error) {
	spec.Name = routing.CleanName(spec.Name)
	if passive {
		q, err := e.queueFor(o, spec.Name)
		if err != nil {
			return QueueOK{}, err
		}
		return q.asked()
	}
	if err := e.nameQueue(&spec); err != nil {
		return QueueOK{}, err
	}
	for {
		q, wait, err := e.declareQueue(o, spec)
		if err == nil {
			err = e.saved(wait, func() { e.takeBack(q) })
		}
		if err != nil {
			return QueueOK{}, err
		}
		if ok, err := q.asked(); err == nil {
			return ok, nil // otherwise it was deleted meanwhile
		}
	}
}

// nameQueue checks the name, or chooses one if the client leaves that to the broker.
func (e *Engine) nameQueue(spec *QueueSpec) error {
	if spec.Name != "" {
		return routing.ReservedName("queue", spec.Name)
	}
	if err := queueargs.ServerNamed(spec.Args); err != nil {
		return err
	}
	spec.Name = randomName(generatedPrefix)
	return nil
}

const generatedPrefix = "amq.gen-"

func (e *Engine) declareQueue(o *Owner, spec QueueSpec) (*Queue, *journaled, error) {
	e.topology.Lock()
	defer e.topology.Unlock()
	d := queueargs.Declaration{
		Name: spec.Name, Durable: spec.Durable, Exclusive: spec.Exclusive, AutoDelete: spec.AutoDelete, Args: spec.Args,
	}
	table := e.table.Load()
	if q, ok := table.Queue(spec.Name); ok {
		if !q.isDeleted() {
			if err := queueargs.Equivalent(q.declaration(), d, q.owner == o); err != nil || e.unsaved[queueKey(q.name)] == nil {
				return q, nil, err
			}
			wait := &journaled{what: "cannot declare " + routing.QueueText(q.name)}
			e.putQueue(q, wait)
			return q, wait, nil
		}
		e.unlistLocked(q)
		table = e.table.Load()
	}
	switch limit := e.options.Limits.Queues; {
	case e.closed.Load():
		return nil, nil, ErrClosed
	case limit >= 0 && table.QueueCount() >= limit:
		return nil, nil, errorf(wire.CodePreconditionFailed,
			"cannot declare queue '%s': queue limit in vhost '/' (%d) is reached", spec.Name, limit)
	}
	policy, err := queueargs.Declare(d)
	if err != nil {
		return nil, nil, err
	}
	q := newQueue(e, e.nextID, d.Stored(), settingsOf(policy))
	wait := &journaled{what: "cannot declare " + routing.QueueText(q.name)}
	if q.durable {
		e.putQueue(q, wait)
	}
	if wait.refused() {
		return nil, nil, wait.done()
	}
	if spec.Exclusive {
		if q.owner = o; !o.add(q) {
			return nil, nil, ErrClosed
		}
	}
	e.nextID += uint32(len(q.lanes))
	e.enroll(q)
	e.table.Store(table.AddQueue(q.name, q, q.durable))
	return q, wait, nil
}

// takeBack undoes a declaration that is not in the journal, with the lock of the
// topology: nobody was told that the queue is there.
func (e *Engine) takeBack(q *Queue) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.end()
	e.unlistLocked(q)
	delete(e.unsaved, queueKey(q.name)) // also if the journal takes nothing
}

// enroll makes the lanes of a queue known to the store's index.
func (e *Engine) enroll(q *Queue) {
	if !q.durable || e.options.Dir == "" {
		return
	}
	for i := range q.lanes {
		e.lanes.Store(q.lanes[i].id, laneRef{q, &q.lanes[i]})
	}
}

// unlist removes a queue that is deleted from the topology, if it is still there.
func (e *Engine) unlist(q *Queue) *journaled {
	e.topology.Lock()
	defer e.topology.Unlock()
	return e.unlistLocked(q)
}

func (e *Engine) unlistLocked(q *Queue) *journaled {
	wait := &journaled{what: "cannot delete " + routing.QueueText(q.name)}
	table := e.table.Load()
	if now, ok := table.Queue(q.name); !ok || now != q {
		return wait
	}
	table, change := table.DeleteQueue(q.name)
	e.table.Store(table)
	for i := range q.lanes {
		e.lanes.Delete(q.lanes[i].id)
	}
	if q.owner != nil {
		q.owner.remove(q)
	}
	if q.durable {
		e.deleteMeta(queueKey(q.name), wait)
	}
	e.undo(change, wait)
	return wait
}

// DeleteQueue deletes a queue and returns how many messages were ready in it.
// One that does not exist is no error, as in RabbitMQ.
func (e *Engine) DeleteQueue(o *Owner, name string, ifUnused, ifEmpty bool) (int, error) {
	q, ok := e.table.Load().Queue(routing.CleanName(name))
	if !ok {
		return 0, nil
	}
	if err := q.checkOwner(o); err != nil {
		return 0, err
	}
	n, err := q.delete(ifUnused, ifEmpty)
	if err != nil {
		return 0, err
	}
	return n, e.unlist(q).done()
}

func (q *Queue) delete(ifUnused, ifEmpty bool) (int, error) {
	q.mu.Lock()
	defer q.unlock()
	switch {
	case q.deleted:
		return 0, nil
	case ifEmpty && q.ready > 0:
		return 0, errorf(wire.CodePreconditionFailed, "%s not empty", routing.QueueText(q.name))
	case ifUnused && len(q.roster.all) > 0:
		return 0, errorf(wire.CodePreconditionFailed, "%s in use", routing.QueueText(q.name))
	}
	n := q.ready
	q.end()
	return n, nil
}

// end is the end of the queue, but for the topology: unlist follows without the
// lock.
func (q *Queue) end() {
	if q.deleted {
		return
	}
	q.deleted = true
	q.quiet()
	q.clear()
	consumers := q.roster.all
	q.roster = roster{}
	// RabbitMQ tells each channel in the order of the tags.
	slices.SortFunc(consumers, func(a, b *consumer) int { return strings.Compare(a.tag, b.tag) })
	for _, c := range consumers {
		c.left = true
		c.ch.cancelled(c)
	}
}

// quiet stops the alarm.
func (q *Queue) quiet() {
	if q.alarm != nil {
		q.alarm.Stop()
	}
}

// Purge drops the messages of a queue that are ready and returns how many.
func (e *Engine) Purge(o *Owner, name string) (int, error) {
	q, err := e.queueFor(o, name)
	if err != nil {
		return 0, err
	}
	q.mu.Lock()
	defer q.unlock()
	if q.deleted {
		return 0, routing.NoQueue(name)
	}
	return q.purge(), nil
}

// CancelConsumers ends all consumers of a queue, as its deletion would, and
// returns how many: a fault for tests.
func (e *Engine) CancelConsumers(queue string) int {
	q, ok := e.table.Load().Queue(queue)
	if !ok {
		return 0
	}
	q.mu.Lock()
	defer q.unlock()
	consumers := slices.Clone(q.roster.all)
	for len(q.roster.all) > 0 {
		q.roster.remove(q.roster.all[0])
	}
	for _, c := range consumers {
		c.ch.cancelled(c)
	}
	q.used(q.e.now())
	return len(consumers)
}

// queueFor returns the queue of a name that an owner may use.
func (e *Engine) queueFor(o *Owner, name string) (*Queue, error) {
	q, ok := e.table.Load().Queue(name)
	if !ok {
		return nil, routing.NoQueue(name)
	}
	return q, q.checkOwner(o)
}

func (q *Queue) checkOwner(o *Owner) error {
	if q.owner != nil && q.owner != o {
		return queueargs.Locked(q.name)
	}
	return nil
}

func (q *Queue) isDeleted() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.deleted
}

// asked answers a declaration.
func (q *Queue) asked() (QueueOK, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.deleted {
		return QueueOK{}, routing.NoQueue(q.name)
	}
	q.used(q.e.now())
	return QueueOK{Name: q.name, Messages: q.ready, Consumers: len(q.roster.all)}, nil
}

func (q *Queue) declaration() queueargs.Declaration {
	return queueargs.Declaration{Name: q.name, Durable: q.durable, Exclusive: q.owner != nil, AutoDelete: q.auto, Args: q.args}
}

func (q *Queue) typeName() string {
	if q.set.quorum {
		return queueargs.Quorum
	}
	return queueargs.Classic
}
