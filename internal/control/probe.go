package control

import (
	"context"
	"net/http"
	"time"

	"github.com/magne-actors/magne-actors/supervisor"
)

// well is the body of GET /livez and GET /readyz.
type well struct {
	Status string `json:"status"` // ok
}

// live answers that the process answers: that its tree can be read.
func (h *handlers) live(w http.ResponseWriter, r *http.Request) {
	answer(w, r, h.trees, func(*supervisor.Node) any { return well{"ok"} })
}

// ready answers whether the instance does its work.
func (h *handlers) ready(w http.ResponseWriter, r *http.Request) {
	if h.src.Ready == nil {
		h.live(w, r)
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(snapshotTimeout + answerTimeout))
	ctx, cancel := context.WithTimeout(r.Context(), snapshotTimeout)
	defer cancel()
	if err := h.src.Ready(ctx); err != nil {
		write(w, http.StatusServiceUnavailable, problem{Error: err.Error()})
		return
	}
	write(w, http.StatusOK, well{"ok"})
}

func (h *handlers) metrics(w http.ResponseWriter, r *http.Request) {
	if h.src.Metrics == nil {
		write(w, http.StatusNotImplemented, problem{Error: "this instance keeps no metrics"})
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout))
	h.src.Metrics.ServeHTTP(w, r)
}
