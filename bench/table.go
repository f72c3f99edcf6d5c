package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// table writes rows for people.
func table(w io.Writer, rows []row) error {
	first := rows[0]
	if first.System == systemPlain {
		return plainTable(w, rows)
	}
	fmt.Fprintf(w, "%s, %d messages, high %d, median of %d on %s, %s, %d CPUs\n",
		first.Scenario, first.N, first.High, len(first.Runs), first.Broker, first.Go, first.CPUs)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "system\tseconds\tmsg/s\tx raw\tclient us/msg\tx raw\tbroker us/msg\tpeak RSS MiB\tin flight\trunning\tpauses\t")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%.2f\t%.0f\t%s\t%.1f\t%s\t%s\t%.0f\t%d\t%s\t%d\t\n",
			r.System, r.Seconds, r.MsgsPerS, optional(r.RatioToRaw, "%.2f"), r.ClientCPU, optional(r.CPURatioToRaw, "%.2f"),
			optional(r.BrokerCPU, "%.1f"), r.PeakRSSMiB, r.PeakInFlight, counted(r.PeakRunning), r.Pauses)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if first.IdealSeconds > 0 {
		_, err := fmt.Fprintf(w, "the waiting of the tasks alone: %.2f s\n", first.IdealSeconds)
		return err
	}
	return nil
}

func optional(v *float64, format string) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf(format, *v)
}

func counted(n int64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}
