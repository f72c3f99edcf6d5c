//go:build !race

package osproc_test

// raceEnabled says that the race detector is on: it allocates.
const raceEnabled = false
