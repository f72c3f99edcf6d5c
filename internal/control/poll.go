package control

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

const (
	maxWaiting = 64          // requests of one server that wait at the same time
	maxWait    = time.Minute // of each
)

// asked are the parameters of a request for events or entries of the log.
type asked struct {
	after uint64
	wait  time.Duration
	tail  int // 0: all
	node  string
	types []string
	level slog.Level
}

func parseAsked(q url.Values) (a asked, err error) {
	read := func(name, want string, parse func(text string) error) {
		if text := q.Get(name); text != "" && err == nil && parse(text) != nil {
			err = fmt.Errorf("%s is %s", name, want)
		}
	}
	read("after", "the number of an entry", func(text string) (err error) {
		a.after, err = strconv.ParseUint(text, 10, 64)
		return err
	})
	read("wait", "a time of at most "+maxWait.String()+", as 30s", func(text string) (err error) {
		if a.wait, err = time.ParseDuration(text); a.wait < 0 || a.wait > maxWait {
			err = errors.ErrUnsupported
		}
		return err
	})
	read("tail", "a number from 1", func(text string) (err error) {
		if a.tail, err = strconv.Atoi(text); a.tail < 1 {
			err = errors.ErrUnsupported
		}
		return err
	})
	a.level = math.MinInt
	read("level", "one of debug, info, warn, error", func(text string) error { return a.level.UnmarshalText([]byte(text)) })
	a.node, a.types = q.Get("node"), q["type"]
	return a, err
}

func (h *handlers) events(w http.ResponseWriter, r *http.Request) {
	poll(h, w, r, journal[Event]{
		after: h.src.Events.After, more: h.src.Events.more,
		seq: func(e Event) uint64 { return e.Seq },
		wanted: func(a *asked, e Event) bool {
			return concerns(e.ID, a.node) && (len(a.types) == 0 || slices.Contains(a.types, string(e.Type)))
		},
	})
}

func (h *handlers) logs(w http.ResponseWriter, r *http.Request) {
	logs := h.src.Logs
	if logs == nil {
		write(w, http.StatusNotImplemented, problem{Error: "this instance remembers nothing of its log"})
		return
	}
	poll(h, w, r, journal[Entry]{
		after: logs.After, more: logs.ring.more,
		seq: func(e Entry) uint64 { return e.Seq },
		wanted: func(a *asked, e Entry) bool {
			return e.Level >= a.level && (a.node == "" || a.node == "root" || e.Attrs.concerns(a.node))
		},
	})
}

// journal is a ring as poll needs it.
type journal[T any] struct {
	after  func(seq uint64) []T
	more   func(seq uint64) <-chan struct{}
	seq    func(T) uint64
	wanted func(*asked, T) bool
}

// find returns what is wanted of what came after a.after, and moves that on.
func (j *journal[T]) find(a *asked) []T {
	list := j.after(a.after)
	if len(list) > 0 {
		a.after = j.seq(list[len(list)-1])
	}
	return slices.DeleteFunc(list, func(v T) bool { return !j.wanted(a, v) })
}

// poll answers with the entries that are wanted: at once if there are any, else as
// soon as there are, or with none when the time is over that the client would
// wait.
func poll[T any](h *handlers, w http.ResponseWriter, r *http.Request, j journal[T]) {
	a, err := parseAsked(r.URL.Query())
	if err != nil {
		write(w, http.StatusBadRequest, problem{Error: err.Error()})
		return
	}
	deadlines := http.NewResponseController(w)
	_ = deadlines.SetWriteDeadline(time.Now().Add(a.wait + answerTimeout))
	_ = deadlines.SetReadDeadline(time.Time{}) // that of the request, which would end its context
	list := j.find(&a)
	if len(list) == 0 && a.wait > 0 {
		select {
		case h.waiting <- struct{}{}:
			list = await(h, r, &a, j)
			<-h.waiting
		default:
			w.Header().Set("Retry-After", "1")
			write(w, http.StatusTooManyRequests, problem{Error: ErrBusy.Error()})
			return
		}
	}
	if a.tail > 0 {
		list = list[max(len(list)-a.tail, 0):]
	}
	write(w, http.StatusOK, list)
}

// await blocks until there is something that is wanted, the time is over, the
// client has gone, or the server ends.
func await[T any](h *handlers, r *http.Request, a *asked, j journal[T]) []T {
	timer := time.NewTimer(a.wait)
	defer timer.Stop()
	for {
		select {
		case <-j.more(a.after):
			if list := j.find(a); len(list) > 0 {
				return list
			}
		case <-timer.C:
			return []T{}
		case <-r.Context().Done():
			return []T{}
		case <-h.closing:
			return []T{}
		}
	}
}
