package process

import (
	"errors"
	"io"
	"slices"
	"time"

	"github.com/magne-actors/magne-actors/internal/osproc"
	"github.com/magne-actors/magne-actors/internal/wire"
	"github.com/magne-actors/magne-actors/supervisor"
)

// spawn starts one more worker.
func (m *machine) spawn(o *Options) *worker {
	m.keys++
	w := &worker{key: m.keys, opts: o}
	w.limit = int(m.jittered(float64(o.Recycle.MaxTasks), o.Recycle.Jitter))
	if o.Recycle.MaxTasks > 0 {
		w.limit = max(w.limit, 1)
	}
	w.bootBy = m.now.Add(o.StartTimeout)
	m.workers = append(m.workers, w)
	m.do(effSpawn{w.key, o})
	return w
}

// jittered takes up to the share of jitter off a limit: none of them is exceeded.
func (m *machine) jittered(limit, jitter float64) float64 {
	return limit * (1 - min(max(jitter, 0), 1)*m.rnd())
}

// onWorker is for the events of one worker.
func (m *machine) onWorker(ev event) {
	switch ev := ev.(type) {
	case evSpawned:
		if w := m.find(ev.key); w != nil && w.phase == spawning {
			w.phase, w.born, w.bootBy = booting, m.now, m.now.Add(w.opts.StartTimeout)
			w.sampleAt = m.now.Add(samplePace)
		}
	case evUnborn:
		if w := m.find(ev.key); w != nil {
			w.blame(WhyStart, ev.err) // it may have been killed meanwhile
			m.bury(w, osproc.Exit{})
		}
	case evFrame:
		if w := m.find(ev.key); w != nil {
			m.onFrame(w, ev.frame)
		}
	case evClosed:
		if w := m.find(ev.key); w != nil {
			m.onClosed(w, ev.err)
		}
	case evBroken:
		if w := m.find(ev.key); w != nil {
			m.onBroken(w, ev)
		}
	case evRefused:
		if w := m.find(ev.key); w != nil {
			m.onRefused(w, ev)
		}
	case evExited:
		if w := m.find(ev.key); w != nil {
			m.bury(w, ev.exit)
		}
	case evSampled:
		if w := m.find(ev.key); w != nil {
			m.onSampled(w, ev.rss)
		}
	case evTree:
		if w := m.find(ev.key); w != nil {
			m.onTree(w, ev)
		}
	}
}

// onFrame judges what a worker says. A reply counts as long as the worker has
// not been found to break the rules.
func (m *machine) onFrame(w *worker, f *wire.Frame) {
	if w.why == WhyProtocol {
		return
	}
	meaning, err := w.session.Receive(f)
	if err != nil {
		m.violation(w, err)
		return
	}
	w.heard, w.pinged, w.missed = m.now, time.Time{}, 0
	switch meaning {
	case wire.Booting:
		w.step = f.Message
		m.do(effStep{w.key, f.Message})
	case wire.Ready:
		m.onHello(w, f)
	case wire.Settled:
		m.onSettled(w, f)
	case wire.Note:
		m.onNote(w, f)
	case wire.Late, wire.Unknown:
		m.do(effStrange{})
	}
}

func (m *machine) onNote(w *worker, f *wire.Frame) {
	switch f.Type {
	case wire.Progress:
		m.do(effProgress{w.key, f})
	case wire.Bye:
		m.onBye(w, f.Reason)
	default: // it was heard of
	}
}

// onHello makes a worker ready, or ends one that can never be.
func (m *machine) onHello(w *worker, f *wire.Frame) {
	if w.phase != booting { // it is being ended
		return
	}
	if err := wire.CheckHello(f, w.opts.Tasks); err != nil {
		m.kill(w, WhyStart, supervisor.Fatal(err))
		return
	}
	w.phase, w.bootBy = ready, time.Time{}
	w.slots = min(w.opts.Concurrency, f.Concurrency)
	w.beats = slices.Contains(f.Caps, wire.CapBeat)
	w.canSignal = slices.Contains(f.Caps, wire.CapCancelSignal)
	if life := w.opts.Recycle.Lifetime; life > 0 {
		w.expires = m.now.Add(time.Duration(m.jittered(float64(life), w.opts.Recycle.Jitter)))
	}
	m.do(effWelcome{w.key, w.slots})
	switch w {
	case m.next:
		m.takeOver()
	case m.current:
		m.do(effReady{})
		m.completed(w)
	}
}

// onClosed is called when nothing more can come from a worker.
func (m *machine) onClosed(w *worker, err error) {
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		m.violation(w, err)
		return
	}
	m.closed(w, err)
	if len(w.tasks) > 0 { // leaving or not, it cannot answer them any more
		m.expect(w)
	}
}

// closed bounds how long a worker lives whose pipe is closed. One that was told
// to finish has its own limit.
func (m *machine) closed(w *worker, err error) {
	if w.err == nil {
		w.err = err
	}
	if !w.leaving {
		m.expect(w)
	}
}

// expect gives a worker whose pipe is closed a moment to exit.
func (m *machine) expect(w *worker) {
	if w.phase < dumping && w.closedBy.IsZero() {
		w.closedBy = m.now.Add(closedTime)
	}
}

func (m *machine) onBroken(w *worker, ev evBroken) {
	if ev.hung {
		m.ladder(w, WhyHung, ev.err)
		return
	}
	for _, c := range w.tasks {
		c.unsent = ev.id != 0 && c.frame.ID >= ev.id
	}
	m.closed(w, ev.err)
}

// violation ends a worker that broke the protocol, without a word: what it says
// cannot be understood any more.
func (m *machine) violation(w *worker, err error) { m.kill(w, WhyProtocol, err) }

// kill ends a worker at once.
func (m *machine) kill(w *worker, why string, err error) {
	w.blame(why, err)
	if w.phase != ended {
		m.toEnded(w)
	}
	m.do(effKill{w.key})
}

// ladder ends a worker that hangs: it may write its stacks, then TERM, then KILL.
func (m *machine) ladder(w *worker, why string, err error) {
	if w.phase >= dumping {
		return
	}
	w.blame(why, err)
	if w.phase == spawning { // there is nothing to look at yet
		m.term(w)
		return
	}
	m.do(effDump{w.key, w.opts.Timeout.DumpSignal})
	if w.opts.Timeout.DumpSignal == 0 {
		m.term(w)
		return
	}
	w.phase, w.termAt = dumping, m.now.Add(dumpTime)
	w.leaveBy, w.closedBy, w.bootBy = time.Time{}, time.Time{}, time.Time{}
}

func (m *machine) term(w *worker) {
	m.toEnded(w)
	m.do(effTerm{w.key})
}

func (m *machine) toEnded(w *worker) {
	w.phase = ended
	w.termAt, w.leaveBy, w.closedBy, w.bootBy = time.Time{}, time.Time{}, time.Time{}, time.Time{}
}

// blame notes why a worker is ended. What came first is the reason, except that
// nothing it says counts after it broke the protocol.
func (w *worker) blame(why string, err error) {
	if w.why == "" || why == WhyProtocol {
		w.why, w.err = why, err
	}
}

// leave has a worker finish the tasks that it has and then end. If it makes room
// for another one, it has as long as its tasks may take; at the end of the slot,
// as long as the drain may.
func (m *machine) leave(w *worker) {
	if w.phase >= dumping {
		w.leaving, w.asked = true, w.asked || w.why == ""
		return
	}
	if w.phase < ready { // it has no tasks
		w.leaving, w.asked = true, true
		m.term(w)
		return
	}
	if m.ending && w.forlorn() {
		w.leaving, w.asked = true, true
		m.term(w)
		return
	}
	left := w.opts.Timeout.Hard
	if m.ending {
		left = w.opts.DrainTimeout
		w.leaveBy = earlier(w.leaveBy, m.now.Add(left))
	}
	if w.leaving { // it knows
		return
	}
	w.leaving, w.asked = true, true
	if len(w.tasks) == 0 {
		w.closedBy = time.Time{}
	}
	m.do(effDrain{w.key, left})
	m.hurry(w)
}

// forlorn says that nobody waits for what the worker runs: it was handed back, and
// may be running elsewhere.
func (w *worker) forlorn() bool {
	return len(w.tasks) > 0 && !slices.ContainsFunc(w.tasks, func(c *call) bool { return !c.revoked })
}

// hurry bounds how long a leaving worker lives that has nothing left to finish.
func (m *machine) hurry(w *worker) {
	if w.leaving && w.phase == ready && len(w.tasks) == 0 {
		w.leaveBy = earlier(w.leaveBy, m.now.Add(exitTime))
	}
}

// bury settles what a dead worker leaves behind.
func (m *machine) bury(w *worker, exit osproc.Exit) {
	m.workers = slices.DeleteFunc(m.workers, func(o *worker) bool { return o == w })
	why := w.cause(exit)
	a := Autopsy{Exit: exit, Why: why}
	if w.slots == 0 { // no hello
		a.Step = w.step
	}
	if w.err != nil {
		a.Error = w.err.Error()
	}
	if head := w.running(); len(head) > 0 {
		a.Task, a.For = head[0].label(), m.now.Sub(head[0].began)
	}
	if w.asked && len(w.tasks) == 0 {
		a.Why = ""
	}
	blameless := w.blameless(why)
	w.phase = ended
	m.tellAble() // before the answers: who gets one may have the next task ready
	m.do(effRun{w.key, nil})
	for _, c := range w.tasks {
		m.do(effAnswer{w.key, c, w.loss(c, why, exit)})
	}
	lost := &LostError{Why: why, Exit: exit, Err: w.err}
	m.do(effBuried{w.key, a, a.Why == "", w == m.current && !m.ending && m.next == nil && !blameless})
	w.tasks = nil
	switch w {
	case m.next:
		m.next = nil
		m.failed(&slotError{a.line(), lost})
	case m.current:
		m.succeed(blameless, lost)
	default: // it was on its way out
	}
}

// cause is the word for the end of a worker.
func (w *worker) cause(exit osproc.Exit) string {
	switch {
	case w.why != "":
		return w.why
	case exit.Cause == osproc.OOMCgroup || exit.Cause == osproc.OOMHost:
		return WhyMemory
	case w.phase < ready:
		return WhyStart
	case w.phase == ended && w.leaving:
		return WhyShutdown
	default:
		return WhyExit
	}
}

// loss is the answer for a task of a dead worker.
func (w *worker) loss(c *call, why string, exit osproc.Exit) error {
	i := slices.Index(w.tasks, c)
	switch {
	case i >= w.slots || c.unsent:
		return ErrNotStarted
	case w.culprit != nil && w.culprit != c:
		why = WhyNeighbour
	}
	return &LostError{Why: why, Exit: exit, Err: w.err, Company: len(w.running()) - 1}
}

// blameless says that the end of the worker does not speak against its program:
// it was asked for, or a task is to blame, or the worker has been of use. A task
// under which another one has died already is to blame rather than the program.
func (w *worker) blameless(why string) bool {
	switch {
	case slices.ContainsFunc(w.running(), func(c *call) bool { return c.suspect }):
		return true
	case w.asked || w.done > 0 || why == WhyOperator || why == WhyTimeout || why == WhyWatchdog:
		return true
	default:
		return why == WhyMemory && len(w.tasks) > 0
	}
}

// succeed is called when the current worker is dead.
func (m *machine) succeed(blameless bool, lost *LostError) {
	m.current = nil
	switch {
	case m.ending:
	case m.next != nil: // it was about to take over anyway
		m.current, m.next = m.next, nil
	case blameless:
		m.forgo(lost) // it may have been the promoted one
		m.current = m.spawn(m.opts)
	default:
		m.forgo(lost)
		m.end(lost)
	}
	if m.current != nil {
		m.do(effCurrent{m.current.key})
		return
	}
	m.do(effCurrent{})
}

// end ends the slot: its workers finish what they have.
func (m *machine) end(err error) {
	if m.ending {
		return
	}
	m.ending, m.fatal = true, err
	m.forgo(errEnding)
	for _, w := range m.workers {
		m.leave(w)
	}
}

func (m *machine) onKill() {
	for _, w := range m.workers {
		m.kill(w, WhyOperator, nil)
	}
}
