package control

import (
	"context"
	"fmt"
	"net/http"
	"syscall"

	"github.com/magne-actors/magne-actors/supervisor"
)

// Source is what the server shows and changes. A function that is nil, Tree apart,
// is not offered. Those that change something may be called several times at
// once; they return an error that wraps supervisor.ErrNotFound when there is no
// such pool, task or node, and block until it is done or ctx ends.
type Source struct {
	Version string
	// Tree takes a snapshot of the supervision tree. It is called on a goroutine
	// of the server, once at a time, and should read atomics only. Nil means
	// that there is no tree yet.
	Tree func() *supervisor.Node
	// Inspect is the part of the tree below the node with that id, with what Tree
	// leaves out, or nil if there is none; it is called as Tree is. Nil means that
	// Tree says it all.
	Inspect func(id string) *supervisor.Node
	// Tasks are the tasks that run; it is called as Tree is. Nil means that there
	// are none.
	Tasks func() []Task
	// Events is what happened to the tree. Nil means that nobody keeps it.
	Events *Events
	// Logs is what was logged.
	Logs *Logs
	// Broker takes a snapshot of the broker in this process, which JSON can
	// carry; it is called as Tree is. Nil means that there is none.
	Broker func() any
	// Metrics answers GET /metrics.
	Metrics http.Handler
	// Ready returns why the instance should get no work, or nil; it returns when
	// ctx ends. Nil means that it is ready when Tree answers.
	Ready func(ctx context.Context) error
	// Report is Ready that also returns how each part does, for JSON. It is asked in
	// the place of Ready, if it is there.
	Report func(ctx context.Context) (detail any, err error)

	// Restart has a node run anew, and blocks until it does.
	Restart func(ctx context.Context, id string) error

	Scale  func(ctx context.Context, pool string, workers int) error
	Pause  func(ctx context.Context, pool string) error
	Resume func(ctx context.Context, pool string) error
	Limit  func(ctx context.Context, pool string, high, low int) error
	// Cancel cancels the running tasks with that id and returns how many.
	Cancel func(ctx context.Context, task string) (int, error)

	// Signal, Recycle and Kill are for the process of a slot: a signal, another
	// process in its place once its tasks have ended, SIGKILL.
	Signal  func(id string, sig syscall.Signal) error
	Recycle func(ctx context.Context, id string) error
	Kill    func(id string) error

	// Reload reads the configuration again and returns what it has changed, also
	// together with an error. It returns an *InvalidError if the configuration is
	// wrong, and nothing is changed then.
	Reload func(ctx context.Context) ([]Change, error)
	// Diff returns what a reload of that text would change. It returns an
	// *InvalidError as Reload does.
	Diff func(ctx context.Context, yaml []byte) ([]Change, error)
}

// Change is one difference between the configuration that runs and another one.
type Change struct {
	Pool   string   `json:"pool"`   // empty: not about one pool
	Action string   `json:"action"` // keep, add, remove, restart, scale, limit, roll; or manual: only a restart of the program does it
	Keys   []string `json:"keys"`   // that differ
	Text   string   `json:"text"`   // for people: "workers 8 -> 16"
}

// InvalidError says what is wrong with a configuration.
type InvalidError struct {
	Mistakes []string // each with its place
}

// Error returns the number of the mistakes and the first of them.
func (e *InvalidError) Error() string {
	if len(e.Mistakes) == 0 {
		return "the configuration is not valid"
	}
	return fmt.Sprintf("the configuration has mistakes (%d), nothing is changed: %s", len(e.Mistakes), e.Mistakes[0])
}
