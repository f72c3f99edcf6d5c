package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// sample is one run of one system.
type sample struct {
	Seconds          float64  `json:"seconds"`
	ClientCPUSeconds float64  `json:"client_cpu_seconds"`
	BrokerCPUSeconds *float64 `json:"broker_cpu_seconds"` // nil: the broker is not ours
	PeakRSSMiB       float64  `json:"peak_rss_mib"`
	PeakInFlight     int64    `json:"peak_in_flight"`
	PeakRunning      int64    `json:"peak_running"`
	Pauses           int64    `json:"pauses"`
}

// row is the result of one system: medians of its runs, the largest peaks. The
// fields up to RatioToRaw are those that scripts rely on.
type row struct {
	System       string   `json:"system"`
	Scenario     string   `json:"scenario"`
	N            int      `json:"n"`
	Seconds      float64  `json:"seconds"`
	MsgsPerS     float64  `json:"msgs_per_s"`
	ClientCPU    float64  `json:"client_cpu_us_per_msg"`
	PeakRSSMiB   float64  `json:"peak_rss_mib"`
	PeakInFlight int64    `json:"peak_in_flight"` // received and not settled
	RatioToRaw   *float64 `json:"ratio_to_raw"`   // of msgs_per_s; null: raw was not measured

	CPURatioToRaw *float64 `json:"client_cpu_ratio_to_raw"`

	// With -vs plain only: medians of the ratios of the rounds.
	RatioToPlain    *float64 `json:"ratio_to_plain,omitempty"`
	CPURatioToPlain *float64 `json:"client_cpu_ratio_to_plain,omitempty"`

	BrokerCPU    *float64 `json:"broker_cpu_us_per_msg"` // null: the broker is not ours
	High         int      `json:"high"`
	Low          int      `json:"low"`                     // 0 for raw, which has none
	PeakRunning  int64    `json:"peak_running"`            // handlers at once; 0 where they are not counted
	Pauses       int64    `json:"pauses"`                  // how often high was reached, in all runs
	IdealSeconds float64  `json:"ideal_seconds,omitempty"` // if nothing but the tasks took time
	Broker       string   `json:"broker"`
	Go           string   `json:"go"`
	CPUs         int      `json:"cpus"`
	Runs         []sample `json:"runs"`
}

// summarize makes a system's row of its samples, of which there is at least one.
func summarize(o *options, system string, samples []sample) row {
	perMessage := func(seconds float64) float64 { return seconds / float64(o.n) * 1e6 }
	r := row{
		System: system, Scenario: o.scenario.name, N: o.n, High: o.high, Runs: samples,
		Seconds:    median(samples, func(s sample) float64 { return s.Seconds }),
		ClientCPU:  perMessage(median(samples, func(s sample) float64 { return s.ClientCPUSeconds })),
		PeakRSSMiB: median(samples, func(s sample) float64 { return s.PeakRSSMiB }),
	}
	r.MsgsPerS = float64(o.n) / r.Seconds
	if system != systemRaw {
		r.Low = o.low
	}
	if o.scenario.ideal != nil {
		r.IdealSeconds = o.scenario.ideal(o.n, o.high).Seconds()
	}
	known := true
	for _, s := range samples {
		r.PeakInFlight = max(r.PeakInFlight, s.PeakInFlight)
		r.PeakRunning = max(r.PeakRunning, s.PeakRunning)
		r.Pauses += s.Pauses
		known = known && s.BrokerCPUSeconds != nil
	}
	if known {
		cpu := perMessage(median(samples, func(s sample) float64 { return *s.BrokerCPUSeconds }))
		r.BrokerCPU = &cpu
	}
	return r
}

// relate fills in the ratios to the row of raw or plain, if there is one.
func relate(rows []row) {
	if rows[0].System == systemPlain {
		relateToPlain(rows)
		return
	}
	i := slices.IndexFunc(rows, func(r row) bool { return r.System == systemRaw })
	if i < 0 {
		return
	}
	raw := rows[i]
	for i := range rows {
		speed, cpu := rows[i].MsgsPerS/raw.MsgsPerS, rows[i].ClientCPU/raw.ClientCPU
		rows[i].RatioToRaw, rows[i].CPURatioToRaw = &speed, &cpu
	}
}

// violations says where a row of magne-actors contradicts the watermark. What
// the runtime counts is held against what the handlers count.
func (r *row) violations() error {
	if r.System == systemRaw {
		return nil
	}
	var errs []error
	if r.PeakInFlight > int64(r.High) {
		errs = append(errs, fmt.Errorf("%d deliveries were in flight, high is %d", r.PeakInFlight, r.High))
	}
	if r.PeakRunning > r.PeakInFlight {
		errs = append(errs, fmt.Errorf("%d handlers ran at once, but only %d deliveries were counted", r.PeakRunning, r.PeakInFlight))
	}
	return errors.Join(errs...)
}

// median is the middle one of the values, or the mean of the two middle ones.
func median[T any](items []T, value func(T) float64) float64 {
	values := make([]float64, len(items))
	for i, item := range items {
		values[i] = value(item)
	}
	slices.SortFunc(values, cmp.Compare)
	mid := len(values) / 2
	if len(values)%2 == 1 {
		return values[mid]
	}
	return (values[mid-1] + values[mid]) / 2
}
