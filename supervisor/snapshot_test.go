package supervisor_test

import (
	"encoding/json"
	"fmt"
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
