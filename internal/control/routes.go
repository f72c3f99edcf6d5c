package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/pprof"
	"os"
	"strconv"
	"time"

	"github.com/magne-actors/magne-actors/supervisor"
)

// route is one thing that the server answers. The list of routes is what
// openapi.yaml is held against.
type route struct {
	method, path string
	handler      http.HandlerFunc
}

func routes(src Source) []route {
	h := newHandlers(src)
	return []route{
		{"GET", "/v1/tree", h.tree},
		{"GET", "/v1/status", h.status},
		{"GET", "/v1/nodes/{id...}", h.node},
		{"GET", "/v1/events", h.events},
		{"GET", "/v1/tasks", h.tasks},
		{"POST", "/v1/restart/{id...}", h.restart},
		{"GET", "/v1/broker", h.broker},
		// Not pprof.Cmdline: a command line may hold a URL with a password.
		{"GET", "/debug/pprof/", slow(pprof.Index)},
		{"GET", "/debug/pprof/profile", slow(pprof.Profile)},
		{"GET", "/debug/pprof/trace", slow(pprof.Trace)},
		{"GET", "/debug/pprof/symbol", slow(pprof.Symbol)},
		{"POST", "/debug/pprof/symbol", slow(pprof.Symbol)}, // how the pprof tool asks for many
	}
}

// handlers are the answers; each kind of snapshot has its own turns.
type handlers struct {
	src       Source
	trees     *snapshots[*supervisor.Node]
	taskLists *snapshots[[]Task]
	brokers   *snapshots[any]
	inspected chan struct{} // the turn of node
}

func newHandlers(src Source) *handlers {
	return &handlers{
		src: src, inspected: make(chan struct{}, 1),
		trees: newSnapshots(func() (*supervisor.Node, error) {
			if n := src.Tree(); n != nil {
				return n, nil
			}
			return nil, errNoTree
		}),
		taskLists: newSnapshots(func() ([]Task, error) {
			list := []Task{}
			if src.Tasks != nil {
				list = append(list, src.Tasks()...)
			}
			return list, nil
		}),
		brokers: newSnapshots(func() (any, error) {
			if src.Broker == nil {
				return nil, ErrNoBroker
			}
			return src.Broker(), nil
		}),
	}
}

func (h *handlers) tree(w http.ResponseWriter, r *http.Request) {
	answer(w, r, h.trees, func(n *supervisor.Node) any { return n })
}

func (h *handlers) status(w http.ResponseWriter, r *http.Request) {
	answer(w, r, h.trees, func(n *supervisor.Node) any { return summary(h.src.Version, os.Getpid(), n) })
}

func (h *handlers) tasks(w http.ResponseWriter, r *http.Request) {
	answer(w, r, h.taskLists, func(list []Task) any { return list })
}

func (h *handlers) broker(w http.ResponseWriter, r *http.Request) {
	answer(w, r, h.brokers, func(status any) any { return status })
}

func (h *handlers) node(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	s := &snapshots[*supervisor.Node]{turn: h.inspected, take: func() (*supervisor.Node, error) {
		find := h.src.Inspect
		if find == nil {
			find = func(id string) *supervisor.Node { return findNode(h.src.Tree(), id) }
		}
		if n := find(id); n != nil {
			return n, nil
		}
		return nil, ErrNotFound
	}}
	answer(w, r, s, func(n *supervisor.Node) any { return n })
}

// findNode returns the node with that id in the tree below n, or nil.
func findNode(n *supervisor.Node, id string) *supervisor.Node {
	if n == nil || n.ID == id {
		return n
	}
	for _, c := range n.Children {
		if found := findNode(c, id); found != nil {
			return found
		}
	}
	return nil
}

func (h *handlers) events(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout))
	after, err := uint64(0), error(nil)
	if given := r.FormValue("after"); given != "" {
		after, err = strconv.ParseUint(given, 10, 64)
	}
	if err != nil {
		write(w, http.StatusBadRequest, problem{Error: "after is the number of an event"})
		return
	}
	write(w, http.StatusOK, h.src.Events.After(after))
}

var errNoRestart = errors.New("nothing can be restarted here")

// restart answers when the node is up, has failed at it, or takes too long.
func (h *handlers) restart(w http.ResponseWriter, r *http.Request) {
	const limit = changeTimeout - time.Second
	deadlines := http.NewResponseController(w)
	_ = deadlines.SetWriteDeadline(time.Now().Add(limit + answerTimeout))
	_ = deadlines.SetReadDeadline(time.Time{}) // that of the request, which would end its context
	ctx, cancel := context.WithTimeoutCause(r.Context(), limit, fmt.Errorf("it takes longer than %v and goes on", limit))
	defer cancel()
	err := errNoRestart
	if h.src.Restart != nil {
		err = h.src.Restart(ctx, r.PathValue("id"))
	}
	switch {
	case err == nil:
		write(w, http.StatusOK, struct{}{})
	case errors.Is(err, supervisor.ErrNotFound):
		write(w, http.StatusNotFound, problem{Error: ErrNotFound.Error()})
	default:
		write(w, http.StatusConflict, problem{Error: err.Error()})
	}
}
