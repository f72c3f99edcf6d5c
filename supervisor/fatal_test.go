package supervisor_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/magne-actors/magne-actors/supervisor"
)

func TestAFatalErrorIsNotRetried(t *testing.T) {
	noTask := errors.New("no such task")
	inBubble(t, func(tr *tree) { // parked at once
		park := supervisor.Spec{Intensity: 100, OnExhausted: supervisor.Park}
		tr.run(supervisor.Spec{Intensity: -1}, tr.child("a"), tr.sup("s", park, tr.child("b"), tr.child("c")))
		want(t, tr.tell("b", quit{supervisor.Fatal(noTask)}), "-b, b: abnormal, -c, c: shutdown, s: shutdown")
		e := tr.lastExit()
		if _, fatal := errors.AsType[*supervisor.FatalError](e.Err); !fatal || !e.Parked || !errors.Is(e.Err, noTask) {
			t.Errorf("exit: got %+v", e)
		}
		const text = "supervisor: s gave up, as a restart would not help: b: no such task"
		if n := tr.node("s"); n.Detail != "parked" || n.LastError != text {
			t.Errorf("node: got %s %q", n.Detail, n.LastError)
		}
		ok(t, tr.sys.Restart(tr.t.Context(), "s"))
		want(t, tr.rest(), "+b, +c")
	})
	inBubble(t, func(tr *tree) { // or upwards, where it is one failure
		spec := supervisor.Spec{Intensity: 100}
		tr.run(supervisor.Spec{Intensity: 1}, tr.sup("s", spec, tr.child("b")))
		want(t, tr.tell("b", quit{supervisor.Fatal(noTask)}), "-b, b: abnormal, s: shutdown, +b")
		want(t, tr.tell("b", quit{supervisor.Fatal(noTask)}), "-b, b: abnormal, s: shutdown")
		if _, err := tr.stop(); !errors.Is(err, noTask) {
			t.Errorf("Run: got %v", err)
		}
	})
}

// TestEscalateAtOnce: a supervisor takes those above with it, however much of their
// intensity is left, up to the first that is not told so.
func TestEscalateAtOnce(t *testing.T) {
	inBubble(t, func(tr *tree) {
		spec := supervisor.Spec{Intensity: -1, OnExhausted: supervisor.EscalateAtOnce}
		pair := supervisor.Spec{Intensity: 100}
		tr.run(supervisor.Spec{Intensity: 1}, tr.sup("p", pair, tr.child("a"), tr.sup("s", spec, tr.child("b"))))
		want(t, tr.tell("b", quit{errors.New("boom")}), "-b, b: abnormal, s: shutdown, -a, a: shutdown, p: shutdown, +a, +b")
		want(t, tr.tell("b", quit{errors.New("boom")}), "-b, b: abnormal, s: shutdown, -a, a: shutdown, p: shutdown")
		_, err := tr.stop()
		e, ok := errors.AsType[*supervisor.ExhaustedError](err)
		if !ok || e.Toppled || !strings.Contains(err.Error(), "p gave up with its child s: supervisor: s gave up: more than 0 restarts") {
			t.Errorf("Run: got %v", err)
		}
	})
}
