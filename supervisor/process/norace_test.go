//go:build !race

package process_test

const chaosTasks = 5000
