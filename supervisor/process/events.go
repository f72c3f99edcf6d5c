package process

import (
	"syscall"
	"time"

	"github.com/magne-actors/magne-actors/internal/osproc"
	"github.com/magne-actors/magne-actors/internal/wire"
)

// An event is something that happened to the slot.
type event interface{ isEvent() }

type (
	evStart   struct{}
	evTime    struct{} // wake has passed
	evSpawned struct{ key int }
	evUnborn  struct { // there is no process
		key int
		err error
	}
	evFrame struct {
		key   int
		frame *wire.Frame
	}
	// evClosed: nothing more comes from the worker: its pipe is closed, or with a
	// *wire.ProtocolError it broke the rules.
	evClosed struct {
		key int
		err error
	}
	// evBroken: nothing more can be written, from the task with that wire id on.
	evBroken struct {
		key  int
		id   uint64
		hung bool // it does not read
		err  error
	}
	evRefused struct { // the frame of a task is over the limits
		key int
		id  uint64
		err error
	}
	evExited struct { // the last event of a worker
		key  int
		exit osproc.Exit
	}
	evSampled struct {
		key int
		rss int64
	}
	evTree struct { // memory with its descendants; 0: unknown
		key      int
		rss, own int64
	}
	evRun    struct{ call *call }
	evRevoke struct { // the context of a call is done
		call    *call
		timeout bool
	}
	evDrain   struct{}
	evKill    struct{}
	evRequest struct{ req *request }
	evForgo   struct{ req *request } // nobody waits for it any more
)

// An effect is something that the driver has to do.
type effect interface{ isEffect() }

type (
	effSpawn struct {
		key  int
		opts *Options
	}
	effWelcome struct{ key, concurrency int }
	effTask    struct {
		key  int
		call *call
		left time.Duration // until it is ended; 0: no limit
	}
	effRun struct { // the task has begun to run, or none does
		key  int
		call *call
	}
	effCancel struct {
		key    int
		call   *call
		reason string
		signal bool
	}
	effPing struct {
		key int
		n   uint64
	}
	effDrain struct {
		key  int
		left time.Duration
	}
	effDump struct { // note where it hangs, and with a signal have it write its stacks
		key    int
		signal syscall.Signal
	}
	effTerm   struct{ key int } // TERM, later KILL
	effKill   struct{ key int }
	effSample struct{ key int }
	effTree   struct{ key int }
	effStep   struct {
		key  int
		text string
	}
	effProgress struct {
		key   int
		frame *wire.Frame
	}
	effStrange struct{} // a frame that came too late or that nobody knows
	effBuried  struct { // it is dead: what is to be remembered
		key     int
		autopsy Autopsy
		asked   bool
		fatal   bool // the slot ends with it
	}
	effAnswer struct {
		key  int // the worker that had it; 0: none
		call *call
		err  error
	}
	effReply struct {
		req *request
		err error
	}
	effCurrent   struct{ key int } // it is the one that gets the tasks; 0: none
	effReady     struct{}
	effAvailable struct{ able bool }
	effCommit    struct{ opts *Options } // later incarnations have these options
	effQuit      struct{ err error }
)

func (evStart) isEvent()   {}
func (evTime) isEvent()    {}
func (evSpawned) isEvent() {}
func (evUnborn) isEvent()  {}
func (evFrame) isEvent()   {}
func (evClosed) isEvent()  {}
func (evBroken) isEvent()  {}
func (evRefused) isEvent() {}
func (evExited) isEvent()  {}
func (evSampled) isEvent() {}
func (evTree) isEvent()    {}
func (evRun) isEvent()     {}
func (evRevoke) isEvent()  {}
func (evDrain) isEvent()   {}
func (evKill) isEvent()    {}
func (evRequest) isEvent() {}
func (evForgo) isEvent()   {}

func (effSpawn) isEffect()     {}
func (effWelcome) isEffect()   {}
func (effTask) isEffect()      {}
func (effRun) isEffect()       {}
func (effCancel) isEffect()    {}
func (effPing) isEffect()      {}
func (effDrain) isEffect()     {}
func (effDump) isEffect()      {}
func (effTerm) isEffect()      {}
func (effKill) isEffect()      {}
func (effSample) isEffect()    {}
func (effTree) isEffect()      {}
func (effStep) isEffect()      {}
func (effProgress) isEffect()  {}
func (effBuried) isEffect()    {}
func (effAnswer) isEffect()    {}
func (effReply) isEffect()     {}
func (effCurrent) isEffect()   {}
func (effReady) isEffect()     {}
func (effAvailable) isEffect() {}
func (effCommit) isEffect()    {}
func (effQuit) isEffect()      {}
func (effStrange) isEffect()   {}
