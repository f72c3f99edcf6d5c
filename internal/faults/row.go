package faults

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Row is what was measured of one fault.
type Row struct {
	Fault string `json:"fault"`
	Title string `json:"title"`

	// Lasted is how long it was there, in seconds.
	Lasted float64 `json:"lasted_s"`
	// Recovery is the time in seconds from the broker being able again to the first
	// delivery on the wire; 0 when that came first, null when it never came.
	Recovery *float64 `json:"recovery_s"`
	Limit    float64  `json:"limit_s"` // of Recovery
	// ReadyzFailed is when /readyz began to fail, in seconds after the fault began; null
	// when it did not.
	ReadyzFailed *float64 `json:"readyz_failed_s"`
	ReadyzAfter  bool     `json:"readyz_after"` // well again at the end
	Why          string   `json:"why"`          // what `why` said, or an event where that was too short to ask

	Tally
	Wire Wire `json:"wire"`

	// Problems are what does not hold; none is a pass.
	Problems []string `json:"problems"`

	// Log is the instance's, all of it; "" where nothing is wrong.
	Log string `json:"log,omitempty"`

	// Of the judgement.
	blind bool // /readyz was well when the fault had lasted
	named bool // why has named the cause
}

func seconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }

// take notes what the run was like, as far as it came.
func (row *Row) take(f *Fault, t times, r *rig) {
	if t.able.IsZero() {
		return
	}
	row.Lasted = seconds(t.able.Sub(t.begun))
	if !t.first.IsZero() {
		took := seconds(max(0, t.first.Sub(t.able)))
		row.Recovery = &took
	}
	if at, failed := r.watch.readyzFailed(t.begun, time.Now()); failed {
		after := seconds(at.Sub(t.begun))
		row.ReadyzFailed = &after
	}
	row.blind = r.watch.readyAt(t.healing)
	row.ReadyzAfter = r.watch.isReady()
	until := t.healing
	if f.lasts == 0 {
		until = time.Now() // the answer is about what was a moment ago
	}
	row.Why, row.named = named(f, r.watch.heard(t.begun, until))
	if !row.named && (f.lasts == 0 || f.brief) {
		said, ok := named(f, r.events(t.begun))
		if ok {
			row.Why, row.named = "event: "+said, true
		}
	}
}

// named returns what names the cause, else what was said last.
func named(f *Fault, heard []string) (said string, ok bool) {
	for _, text := range heard {
		if f.why == nil || f.why.MatchString(text) {
			return text, true
		}
	}
	if len(heard) > 0 {
		return heard[0], f.why == nil
	}
	return "", f.why == nil
}

// judge says what does not hold.
func (row *Row) judge(f *Fault, slack time.Duration) {
	complain := func(bad bool, format string, args ...any) {
		if bad {
			row.Problems = append(row.Problems, fmt.Sprintf(format, args...))
		}
	}
	limit := recoverWithin + f.more
	row.Limit = limit.Seconds()
	complain(row.Lost > 0, "%d confirmed messages are lost", row.Lost)
	complain(row.Wire.Twice > 0, "%d deliveries were settled twice", row.Wire.Twice)
	complain(row.Wire.Foreign > 0, "%d deliveries of another channel were settled", row.Wire.Foreign)
	complain(row.Recovery == nil, "it does not consume again")
	if row.Recovery != nil {
		complain(*row.Recovery > (limit+slack).Seconds(), "it consumed again after %.1f s, the limit is %v", *row.Recovery, limit)
	}
	complain(!row.named, "why does not name the cause: %q", row.Why)
	lasting := f.lasts > 0 && !f.keeps
	complain(lasting && row.blind, "/readyz was well while it lasted")
	complain(!row.ReadyzAfter, "/readyz is not well afterwards")
}

// Pass says whether everything holds.
func (row *Row) Pass() bool { return len(row.Problems) == 0 }

// events returns the errors of the instance's events since then.
func (r *rig) events(since time.Time) []string {
	list, err := r.in.client.Events(r.watch.ctx, 0)
	if err != nil {
		return nil
	}
	var texts []string
	for _, e := range slices.Backward(list) {
		if !e.Time.Before(since) && e.Error != "" {
			texts = append(texts, fmt.Sprintf("%s %s: %s", e.Type, e.ID, strings.TrimSpace(e.Error)))
		}
	}
	return texts
}
