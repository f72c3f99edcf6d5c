// Package clean breaks no rule.
package clean

import "strings"

// Do is short.
func Do(s string) string { return strings.ToUpper(s) }
