package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// peakRSS is the largest resident set of this process so far, in bytes. Linux
// keeps ru_maxrss over an exec, so that of a child would be its parent's, if that
// was larger; VmHWM begins anew.
func peakRSS() (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("peak memory: %w", err)
	}
	return parseHWM(string(status))
}

func parseHWM(status string) (int64, error) {
	for line := range strings.Lines(status) {
		rest, ok := strings.CutPrefix(line, "VmHWM:")
		if !ok {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("peak memory: %w", err)
		}
		return kib << 10, nil
	}
	return 0, fmt.Errorf("peak memory: no VmHWM in /proc/self/status")
}
