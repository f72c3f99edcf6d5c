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
	Detail any    `json:"detail,omitempty"`
}

// live answers that the process answers: that its tree can be read.
func (h *handlers) live(w http.ResponseWriter, r *http.Request) {
	answer(w, r, h.trees, func(*supervisor.Node) any { return well{Status: "ok"} })
}

// ready answers whether the instance does its work.
func (h *handlers) ready(w http.ResponseWriter, r *http.Request) {
	if h.src.Ready == nil && h.src.Report == nil {
		h.live(w, r)
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(snapshotTimeout + answerTimeout))
	ctx, cancel := context.WithTimeout(r.Context(), snapshotTimeout)
	defer cancel()
	var detail any
	var err error
	if h.src.Report != nil {
		detail, err = h.src.Report(ctx)
	} else {
		err = h.src.Ready(ctx)
	}
	if err != nil {
		write(w, http.StatusServiceUnavailable, problem{Error: err.Error(), Detail: detail})
		return
	}
	write(w, http.StatusOK, well{"ok", detail})
}

func (h *handlers) metrics(w http.ResponseWriter, r *http.Request) {
	if h.src.Metrics == nil {
		write(w, http.StatusNotImplemented, problem{Error: "this instance keeps no metrics"})
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout))
	h.src.Metrics.ServeHTTP(w, r)
}
