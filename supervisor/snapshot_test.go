package supervisor_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/magne-actors/magne-actors/supervisor"
)

func TestASnapshotNeedsNobodysCooperation(t *testing.T) {
	inBubble(t, func(tr *tree) {
		began := time.Now()
		a := tr.child("a", func(c *supervisor.Child) {
			c.Kind = "worker"
			c.Inspect = func(n *supervisor.Node) { n.Detail = "busy" }
		})
		s := tr.sup("s", supervisor.Spec{Strategy: supervisor.RestForOne}, tr.child("z"), tr.child("y"))
		tr.run(supervisor.Spec{}, a, s)
		tr.tell("a", crash{"x"})
		pass(time.Second)
		tr.tell("a", block{})
		tr.tell("a", "1")
		tr.tell("a", "2")

		started := began.Format(time.RFC3339Nano)
		num := func(mailbox, handled, restarts int) string {
			return fmt.Sprintf(`"mailbox":%d,"handled":%d,"restarts":%d,"since":%q`, mailbox, handled, restarts, started)
		}
		window := func(n int) string {
			return fmt.Sprintf(`"window":{"restarts":%d,"intensity":1,"period_ns":5000000000}`, n)
		}
		busy := fmt.Sprintf(`"failures":1,"busy_since":%q`, began.Add(time.Second).Format(time.RFC3339Nano))
		want := `{"id":"root","kind":"root","state":"up","detail":"one_for_one",` + num(0, 5, 0) + `,` + window(1) + `,"children":[` +
			`{"id":"a","kind":"worker","state":"up","detail":"busy",` + busy + `,` + num(2, 0, 1) + `,"last_error":"panic: x","children":[]},` +
			`{"id":"s","kind":"sup","state":"up","detail":"rest_for_one",` + num(0, 2, 0) + `,` + window(0) + `,"children":[` +
			`{"id":"z","kind":"","state":"up",` + num(0, 0, 0) + `,"children":[]},` +
			`{"id":"y","kind":"","state":"up",` + num(0, 0, 0) + `,"children":[]}]}]}`
		got, err := json.Marshal(tr.sys.Snapshot())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(indent(t, []byte(want)), indent(t, got)); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	})
}

func indent(t *testing.T, b []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestABusyActorSaysSinceWhen(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{}, tr.child("a"), tr.child("b"))
		for range 3 {
			tr.tell("a", "work")
			if n := tr.node("a"); n.BusySince != nil {
				t.Fatalf("at rest it is busy since %v", n.BusySince)
			}
		}
		pass(time.Hour)
		began := time.Now()
		tr.tell("a", block{})
		tr.tell("a", "waits")
		pass(time.Hour)
		if n := tr.node("a"); n.BusySince == nil || !n.BusySince.Equal(began) || *n.Mailbox != 1 || *n.Handled != 3 {
			t.Errorf("got busy since %v, %d waiting, %d handled; want %v, 1, 3", n.BusySince, *n.Mailbox, *n.Handled, began)
		}
		if n := tr.node("b"); n.BusySince != nil {
			t.Errorf("b is busy since %v", n.BusySince)
		}
		tr.release()
		tr.rest()
		if n := tr.node("a"); n.BusySince != nil || *n.Handled != 5 {
			t.Errorf("got busy since %v, %d handled", n.BusySince, *n.Handled)
		}
		tr.tell("a", crash{"x"})
		if n := tr.node("a"); n.BusySince != nil || *n.Handled != 5 || *n.Failures != 1 {
			t.Errorf("restarted: got busy since %v, %d handled, %d failures", n.BusySince, *n.Handled, *n.Failures)
		}
	})
}

func TestInspectShowsTheStackOfThePanic(t *testing.T) {
	inBubble(t, func(tr *tree) {
		if tr.sys.Inspect("a") != nil {
			t.Error("there is a node before Run")
		}
		tr.run(supervisor.Spec{}, tr.sup("s", supervisor.Spec{}, tr.child("a")))
		tr.tell("a", crash{"x"})
		tr.tell("a", block{}) // nobody is asked
		if n := tr.sys.Inspect("a"); n == nil || n.LastError != "panic: x" || !strings.Contains(n.Stack, "(*probe).Receive") {
			t.Errorf("got %+v", n)
		}
		if n := tr.sys.Inspect("s"); n == nil || len(n.Children) != 1 || n.Children[0].Stack == "" {
			t.Errorf("got %+v", n)
		}
		if n := tr.node("a"); n.Stack != "" {
			t.Error("a snapshot has the stack, which is for one node at a time")
		}
		if n := tr.sys.Inspect("b"); n != nil {
			t.Errorf("got %+v", n)
		}
	})
}

func TestASupervisorSaysHowCloseItIsToGivingUp(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Intensity: 3, Period: time.Minute}, tr.child("a"))
		check := func(restarts int64) {
			t.Helper()
			want := supervisor.Window{Restarts: restarts, Intensity: 3, Period: time.Minute}
			if got := tr.node("root").Window; got == nil || *got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
		check(0)
		tr.tell("a", crash{"x"})
		check(1)
		pass(40 * time.Second)
		tr.tell("a", crash{"x"})
		ok(t, tr.sys.Restart(tr.t.Context(), "a")) // is not counted
		check(2)
		pass(21 * time.Second)
		check(1)
		for range 3 {
			pass(21 * time.Second)
			tr.tell("a", crash{"x"})
		}
		check(3)
		if tr.node("a").Window != nil {
			t.Error("a is no supervisor")
		}
	})
}
