//go:build race

package process_test

// chaosTasks is how many tasks TestChaos runs: workers take long to start with the
// race detector.
const chaosTasks = 1000
