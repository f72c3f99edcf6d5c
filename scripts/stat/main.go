// Command stat prints the size of each package beside the budget that
// internal/archtest holds.
package main

import (
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/magne-actors/magne-actors/internal/archtest"
)

func main() {
	sizes, err := archtest.Sizes(".")
	if err != nil {
		fmt.Fprintln(os.Stderr, "stat:", err)
		os.Exit(1)
	}
	rules := archtest.Project()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "files\tlines\ttest lines\tlongest file\tfn p50\tfn p90\tfn max\t  package")
	for _, s := range sizes {
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%d\t%d\t  %s\n",
			s.Files, s.Lines, s.TestLines, s.MaxFile, s.FuncP50, s.FuncP90, s.MaxFunc, s.Package)
	}
	fmt.Fprintf(w, "\t\t\t%d\t\t%d\t%d\t  budget\n", rules.MaxFile, rules.P90Func, rules.MaxFunc)
	if err := w.Flush(); err != nil {
		fmt.Fprintln(os.Stderr, "stat:", err)
		os.Exit(1)
	}
}
