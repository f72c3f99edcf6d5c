package control

import (
	"net/http"
	"net/http/pprof"
	"os"
	"slices"

	"github.com/magne-actors/magne-actors/supervisor"
)

// route is one thing that the server answers. The list of routes is what
// openapi.yaml is held against.
type route struct {
	method, path string
	handler      http.HandlerFunc
}

// routes are all that there is; what waits for something answers when closing is
// closed.
func routes(closing <-chan struct{}, src Source) []route {
	h := newHandlers(closing, src)
	return slices.Concat([]route{
		{"GET", "/v1/tree", h.tree},
		{"GET", "/v1/status", h.status},
		{"GET", "/v1/nodes/{id...}", h.node},
		{"GET", "/v1/events", h.events},
		{"GET", "/v1/logs", h.logs},
		{"GET", "/v1/tasks", h.tasks},
		{"GET", "/v1/broker", h.broker},
		{"GET", "/livez", h.live},
		{"GET", "/readyz", h.ready},
		{"GET", "/metrics", h.metrics},
		// Not pprof.Cmdline: a command line may hold a URL with a password.
		{"GET", "/debug/pprof/", slow(pprof.Index)},
		{"GET", "/debug/pprof/profile", slow(pprof.Profile)},
		{"GET", "/debug/pprof/trace", slow(pprof.Trace)},
		{"GET", "/debug/pprof/symbol", slow(pprof.Symbol)},
		{"POST", "/debug/pprof/symbol", slow(pprof.Symbol)}, // how the pprof tool asks for many
	}, src.changes())
}

// handlers are the answers; each kind of snapshot has its own turns.
type handlers struct {
	src       Source
	trees     *snapshots[*supervisor.Node]
	taskLists *snapshots[[]Task]
	brokers   *snapshots[any]
	inspected chan struct{} // the turn of node
	waiting   chan struct{} // a token for each request that waits
	closing   <-chan struct{}
}

func newHandlers(closing <-chan struct{}, src Source) *handlers {
	return &handlers{
		src: src, closing: closing, inspected: make(chan struct{}, 1), waiting: make(chan struct{}, maxWaiting),
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
