package faults

import (
	"encoding/json"
	"fmt"
	"io"
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

// JSON writes the report as one object.
func (rep Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(rep)
}

// Head and Line are the table, row by row, for a run that is watched.
const Head = "FAULT                    LASTED  RECOVERED   LOST  TWICE  DUPL  OF  READYZ  RESULT"

// Line is a row of the table.
func (row *Row) Line() string {
	result := "ok"
	if !row.Pass() {
		result = "FAILED: " + strings.Join(row.Problems, "; ")
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
