//go:build !unix

package main

import "time"

// cpuTime is unknown. No result has it: peakRSS fails on such a system.
func cpuTime() time.Duration { return 0 }
