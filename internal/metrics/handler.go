package metrics

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	scrapesAtOnce = 4
	scrapeTimeout = 10 * time.Second
	pageTimeout   = 2 * time.Second // for those of the copies
)

// Handler serves c, with the metrics go_* and process_* of Go's runtime and this
// process, in the format that the client asks for. It may be called once for each
// Collector. A scrape that takes longer than 10 s, or is one of more than four at
// once, gets 503. A metric that cannot be collected is logged and left out. log
// may be nil.
func Handler(c *Collector, log *slog.Logger) http.Handler {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	r := prometheus.NewRegistry()
	r.MustRegister(c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{
		ErrorLog:            errorLog{log},
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: scrapesAtOnce,
		Timeout:             scrapeTimeout,
	})
}

// errorLog is how promhttp speaks to slog.
type errorLog struct{ log *slog.Logger }

// Println implements promhttp.Logger.
func (l errorLog) Println(v ...any) { l.log.Warn("scrape", "err", fmt.Sprint(v...)) }
