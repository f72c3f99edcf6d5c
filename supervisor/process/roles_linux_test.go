package process_test

import "fmt"

// play makes this process a worker.
func play(role string) error { return fmt.Errorf("no role %q", role) }
