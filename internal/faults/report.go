package faults

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is what a run of the suite has found.
type Report struct {
	Began   time.Time `json:"began"`
	Seed    uint64    `json:"seed"`
	Machine string    `json:"machine"`
	Broker  string    `json:"broker"`
	Load    string    `json:"load"` // average of the machine over 15 minutes, at the end
	Rows    []Row     `json:"rows"`
}

// machine describes where this runs.
func machine() string {
	return fmt.Sprintf("%s/%s, %d CPUs, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
}

// Failed returns the names of the faults that did not pass.
func (rep Report) Failed() []string {
	var names []string
	for i := range rep.Rows {
		if !rep.Rows[i].Pass() {
			names = append(names, rep.Rows[i].Fault)
		}
	}
	return names
}

// JSON writes reports as a list.
func JSON(w io.Writer, reports ...Report) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(reports); err != nil {
		return fmt.Errorf("faults: %w", err)
	}
	return nil
}

// loadAverage is that of the machine over 15 minutes, where it is known.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if fields := strings.Fields(string(text)); err == nil && len(fields) > 2 {
		return fields[2]
	}
	return "not known"
}

// Head and Line are the table, row by row, for a run that is watched.
const Head = "FAULT                    LASTED  RECOVERED   LOST  TWICE  DUPL  OF  READYZ  RESULT"

// Line is a row of the table.
func (row *Row) Line() string {
	result := "ok"
	if !row.Pass() {
		first, _, _ := strings.Cut(strings.Join(row.Problems, "; "), "\n")
		result = "FAILED: " + first
	}
	return fmt.Sprintf("%-24s %5.1fs  %9s  %5d  %5d  %4d  %d  %s  %s", row.Fault, row.Lasted, optional(row.Recovery),
		row.Lost, row.Wire.Twice+row.Wire.Foreign, row.Duplicates, row.Confirmed, optional(row.ReadyzFailed), result)
}

func optional(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.2fs", *v)
}

// Table writes the report as a table of plain text.
func (rep Report) Table(w io.Writer) error {
	fmt.Fprintf(w, "%s, %s, seed %d, load average %s\n", rep.Broker, rep.Machine, rep.Seed, rep.Load)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(t, "FAULT\tLASTED\tRECOVERED\tLIMIT\tLOST\tTWICE\tDUPLICATES\tOF\tREADYZ FAILED AFTER\tRESULT\n")
	for i := range rep.Rows {
		row := &rep.Rows[i]
		result := "ok"
		if !row.Pass() {
			result = "FAILED"
		}
		fmt.Fprintf(t, "%s\t%.1fs\t%s\t%.0fs\t%d\t%d\t%d\t%d\t%s\t%s\n", row.Fault, row.Lasted, optional(row.Recovery), row.Limit,
			row.Lost, row.Wire.Twice+row.Wire.Foreign, row.Duplicates, row.Confirmed, optional(row.ReadyzFailed), result)
	}
	return t.Flush()
}

// unquote takes the quotes of an Erlang string away.
func unquote(text string) string { return strings.Trim(text, `"`) }
