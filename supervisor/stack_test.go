package supervisor_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/magne-actors/magne-actors/supervisor"
)

func TestEachStackIsOfItsOwnPanic(t *testing.T) {
	inBubble(t, func(tr *tree) {
		tr.run(supervisor.Spec{Intensity: often}, tr.child("a"))
		here := call(func(actor.Context) { panicHere() })
		there := call(func(actor.Context) { panicThere() })
		for i, c := range []struct {
			msg  any
			want string
		}{{here, "panicHere"}, {here, "panicHere"}, {there, "panicThere"}, {here, "panicHere"}} {
			tr.tell("a", c.msg)
			p, _ := errors.AsType[*supervisor.PanicError](tr.lastExit().Err)
			if !strings.Contains(string(p.Stack), c.want) {
				t.Errorf("%d: %s is not in the stack:\n%s", i, c.want, p.Stack)
			}
		}
	})
}

//go:noinline
func panicHere() { panic("here") }

//go:noinline
func panicThere() { panic("there") }
