package metrics

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// copyLabel tells the series of copies apart. Those of the program that has started
// the copies have none.
const copyLabel = "copy"

// Merge adds the pages of copies, by their numbers and in the text format, to the
// metrics of the program that has started them. Each series of a copy gets the
// label copy. A page that cannot be read is left out, and the error says so.
func Merge(own []*dto.MetricFamily, pages map[int][]byte) ([]*dto.MetricFamily, error) {
	all := map[string]*dto.MetricFamily{}
	for _, f := range own {
		all[f.GetName()] = f
	}
	var errs []error
	for _, number := range slices.Sorted(maps.Keys(pages)) {
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(bytes.NewReader(pages[number]))
		if err != nil {
			errs = append(errs, fmt.Errorf("metrics of copy %d: %w", number, err))
			continue
		}
		for name, f := range families {
			label(f, strconv.Itoa(number))
			switch known := all[name]; {
			case known == nil:
				all[name] = f
			case known.GetType() == f.GetType():
				known.Metric = append(known.Metric, f.Metric...)
			default:
				errs = append(errs, fmt.Errorf("metrics of copy %d: %s is another type", number, name))
			}
		}
	}
	list := slices.SortedFunc(maps.Values(all), func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return list, errors.Join(errs...)
}

// label adds the number of a copy to all series of a family.
func label(f *dto.MetricFamily, number string) {
	name := copyLabel
	for _, m := range f.Metric {
		m.Label = append(m.Label, &dto.LabelPair{Name: &name, Value: &number})
		slices.SortFunc(m.Label, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
	}
}

// MergedHandler is Handler for a program that has started copies: it serves what
// pages returns as well, which is called for each scrape and may block until its
// context ends. Whether there is a session with the broker only copies say.
func MergedHandler(c *Collector, pages func(context.Context) map[int][]byte, log *slog.Logger) http.Handler {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	r := prometheus.NewRegistry()
	r.MustRegister(c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	gather := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		own, err := r.Gather()
		own = slices.DeleteFunc(own, func(f *dto.MetricFamily) bool { return f.GetName() == c.fams.brokerUp.Name })
		ctx, cancel := context.WithTimeout(context.Background(), pageTimeout)
		defer cancel()
		all, mergeErr := Merge(own, pages(ctx))
		return all, errors.Join(err, mergeErr)
	})
	return promhttp.HandlerFor(gather, promhttp.HandlerOpts{
		ErrorLog: errorLog{log}, ErrorHandling: promhttp.ContinueOnError,
		MaxRequestsInFlight: scrapesAtOnce, Timeout: scrapeTimeout,
	})
}
