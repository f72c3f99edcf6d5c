package treeview

import "time"

// Clean returns s fit for one line of a terminal: blanks of any kind are one
// space each, and what is not printable, escape sequences among it, is its Go
// escape.
func Clean(s string) string { return clean(s) }

// Age returns a duration in at most two units: 4.2s, 52s, 41m, 3h12m, 5d3h. A
// negative one is 0.0s.
func Age(d time.Duration) string { return age(d) }
