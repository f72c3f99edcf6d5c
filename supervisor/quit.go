package supervisor

import "github.com/asynkron/protoactor-go/actor"

// Quit ends the calling actor once it has handled the message it is handling,
// before any other that is queued. With a nil error the exit is Normal, and
// Shutdown if the actor was asked to stop; with an error it is Abnormal. The
// actor handles Stopping and Stopped as in any other stop. Only an actor that
// was started by a supervisor may call it, and only in its Receive.
func Quit(ctx actor.Context, err error) {
	exit := Exit{}
	if err != nil {
		exit = Exit{Reason: Abnormal, Err: err}
	}
	quitWith(ctx, exit)
}

func quitWith(ctx actor.Context, exit Exit) {
	sendSystem(ctx.ActorSystem(), ctx.Self(), &quit{exit})
}

// quit is a system message, so that it overtakes what is queued.
type quit struct{ exit Exit }

// sendSystem puts a message of ours before all user messages. Only a hook
// understands it.
func sendSystem(system *actor.ActorSystem, pid *actor.PID, m any) {
	process, _ := system.ProcessRegistry.Get(pid)
	process.SendSystemMessage(pid, m)
}

// Drainer is an actor that cannot stop at once without blocking, because it has
// to wait for something: goroutines, confirmations, other actors. To stop it,
// its supervisor sends it a Drain instead of stopping it; it goes on to receive
// messages, and when it is done, or at once, it calls Quit. If it does not
// within its shutdown time it is abandoned, but still receives messages.
type Drainer interface {
	actor.Actor
	Drains()
}

// Drain asks a Drainer to stop. It overtakes the messages that are queued and
// comes at most once.
type Drain struct{}

// Starter is an actor that is not up as soon as it has handled Started: it waits
// for something, say the first word of an OS process. It is up when it has
// called Ready, for which Child.StartTimeout sets a limit.
type Starter interface {
	actor.Actor
	Starts()
}

// Ready says that the calling Starter is up. It may be called more than once, and
// only in Receive.
func Ready(ctx actor.Context) { sendSystem(ctx.ActorSystem(), ctx.Self(), &ready{}) }

// ready is a system message, so that only a hook sees it.
type ready struct{}
