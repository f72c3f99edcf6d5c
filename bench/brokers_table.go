package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// brokerTable writes rows for people.
func brokerTable(w io.Writer, rows []brokerRow) error {
	first := rows[0]
	fmt.Fprintf(w, "brokers, %d durable messages of %d bytes, at most %d unconfirmed or unacked, median of %d, %s, %d CPUs\n",
		first.N, noopBody, loadWindow, len(first.Runs), first.Go, first.CPUs)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "system\tpublish/s\tembedded is\tconsume/s\tembedded is\tstart ms\t")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%.0f\t%.2f x\t%.0f\t%.2f x\t%.0f\t\n",
			r.System, r.PublishPerS, r.PublishTimes, r.ConsumePerS, r.ConsumeTimes, r.StartMS)
	}
	if err := t.Flush(); err != nil || first.Queued == 0 {
		return err
	}
	fmt.Fprintf(w, "\nwith %d messages queued\n", first.Queued)
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "system\tRSS MiB\tstart ms\t")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t\n", r.System, r.QueuedRSSMiB, r.QueuedStartMS)
	}
	return t.Flush()
}
