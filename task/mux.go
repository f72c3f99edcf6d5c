package task

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// ErrUnknown is wrapped by the error of Mux.Run when no handler is registered
// for the task. OutcomeOf sorts it as KindDiscard.
var ErrUnknown = errors.New("unknown task")

// Mux finds the handler of a task by its name. Register everything before the
// first Run; Has, Names and Run are then safe for concurrent use. The zero value
// is an empty Mux.
type Mux struct {
	handlers   map[string]Handler
	middleware []Middleware

	build sync.Once
	chain atomic.Pointer[Handler] // the middleware around dispatch; nil before the first Run
}

// NewMux returns an empty Mux.
func NewMux() *Mux { return &Mux{handlers: make(map[string]Handler)} }

// Handle registers the handler of the tasks that are called name, exactly as
// written. It panics on a mistake of the program: an empty name, a nil handler,
// a name that is registered already, or a call after the first Run.
func (x *Mux) Handle(name string, h Handler) {
	x.mustBeOpen("Handle")
	if name == "" {
		panic("task: Handle with an empty name")
	}
	if f, ok := h.(HandlerFunc); h == nil || ok && f == nil {
		panic(fmt.Sprintf("task: Handle(%q) with a nil handler", name))
	}
	if _, ok := x.handlers[name]; ok {
		panic(fmt.Sprintf("task: Handle(%q) twice", name))
	}
	if x.handlers == nil {
		x.handlers = make(map[string]Handler)
	}
	x.handlers[name] = h
}

// Use adds middleware around all handlers, also around those that were
// registered before; the first one is the outermost. Each middleware is called
// once, at the first Run, and its handler sees the tasks of every name, unknown
// ones too (as an error that wraps ErrUnknown). A panic of the task's handler
// reaches it as a *PanicError. Use panics on a nil middleware and when it is
// called after the first Run.
func (x *Mux) Use(mw ...Middleware) {
	x.mustBeOpen("Use")
	for _, m := range mw {
		if m == nil {
			panic("task: Use with a nil middleware")
		}
	}
	x.middleware = append(x.middleware, mw...)
}

// Has reports whether a handler is registered for the name.
func (x *Mux) Has(name string) bool {
	_, ok := x.handlers[name]
	return ok
}

// Names returns the registered names in alphabetical order.
func (x *Mux) Names() []string { return slices.Sorted(maps.Keys(x.handlers)) }

// Run runs the handler of m in the calling goroutine, and blocks until it
// returns. Its result is the handler's, as the middleware has left it. A panic
// of the handler or of a middleware becomes a *PanicError; runtime.Goexit cannot
// become a result: Run does not return then, and the caller's deferred functions
// are all that still runs.
func (x *Mux) Run(ctx context.Context, m *Message) (err error) {
	defer recoverTo(&err)
	return (*x.entry()).Handle(ctx, m)
}

// entry returns the chain. It is a pointer so that the load is one atomic
// operation and the hot path has no lock.
func (x *Mux) entry() *Handler {
	if h := x.chain.Load(); h != nil {
		return h
	}
	x.build.Do(func() {
		h := Handler(HandlerFunc(x.dispatch))
		for _, mw := range slices.Backward(x.middleware) {
			if h = mw(h); h == nil {
				panic("task: a middleware has returned a nil handler")
			}
		}
		x.chain.Store(&h)
	})
	if h := x.chain.Load(); h != nil {
		return h
	}
	// A middleware has panicked while the chain was built. That run has failed
	// with its panic; the later ones must not look like successes.
	panic("task: the middleware of this Mux could not be built")
}

// dispatch is the innermost handler. It recovers by itself so that middleware
// sees a panic as an error.
func (x *Mux) dispatch(ctx context.Context, m *Message) (err error) {
	h, ok := x.handlers[m.Name]
	if !ok {
		return fmt.Errorf("%w %q", ErrUnknown, clip(m.Name, 64))
	}
	defer recoverTo(&err)
	return h.Handle(ctx, m)
}

func (x *Mux) mustBeOpen(method string) {
	if x.chain.Load() != nil {
		panic("task: " + method + " after the first Run")
	}
}

// recoverTo must be deferred directly, or recover sees nothing.
func recoverTo(err *error) {
	if v := recover(); v != nil {
		*err = &PanicError{Value: v, Stack: debug.Stack()}
	}
}

// PanicError is the error of a task whose handler, or a middleware, panicked. It
// does not unwrap to the value of the panic: a panic is a fault, and no error
// inside it may pass for the handler's answer.
type PanicError struct {
	Value any    // what panic was called with
	Stack []byte // of the panicking goroutine, as debug.Stack formats it
}

// Error returns one line of at most some hundred bytes, without the stack.
func (e *PanicError) Error() string {
	return "panic: " + clip(strings.Join(strings.Fields(fmt.Sprint(e.Value)), " "), 256)
}

// clip bounds a text that comes from outside to about n bytes.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "..."
}
