package supervisor

import (
	"context"
	"log/slog"

	"github.com/asynkron/protoactor-go/actor"
)

// atLeast drops records below a level.
type atLeast struct {
	level slog.Level
	slog.Handler
}

func (h atLeast) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= h.level && h.Handler.Enabled(ctx, l)
}

func (h atLeast) WithAttrs(attrs []slog.Attr) slog.Handler {
	return atLeast{h.level, h.Handler.WithAttrs(attrs)}
}

func (h atLeast) WithGroup(name string) slog.Handler {
	return atLeast{h.level, h.Handler.WithGroup(name)}
}

// muteDeadLetters replaces protoactor's handling of messages to actors that have
// ended. In a supervised system they are ordinary: a timer that was too late, a
// result that nobody waits for. Protoactor logs them, and to limit that it
// starts a goroutine which lives for a second and would outlast Close. What else
// its handler does is done here: who asked or watched gets an answer.
func muteDeadLetters(as *actor.ActorSystem) {
	as.EventStream = newOf(as.EventStream) // its subscribers cannot be removed
	as.EventStream.Subscribe(func(event any) {
		letter, ok := event.(*actor.DeadLetterEvent)
		if !ok {
			return
		}
		if letter.Sender != nil {
			as.Root.Send(letter.Sender, &actor.DeadLetterResponse{Target: letter.PID})
		}
		if watch, ok := letter.Message.(*actor.Watch); ok {
			sendSystem(as, watch.Watcher, &actor.Terminated{Who: letter.PID, Why: actor.TerminatedReason_NotFound})
		}
	})
}

// newOf makes a zero value of a type that is in a package we do not import.
func newOf[T any](*T) *T { return new(T) }
