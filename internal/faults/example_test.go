package faults_test

import (
	"fmt"

	"github.com/magne-actors/magne-actors/internal/faults"
)

// The faults of the normal tests.
func Example() {
	for _, f := range faults.Short() {
		fmt.Println(f.Name)
	}
	// Output:
	// connections-closed
	// permission-read
	// queue-deleted
	// refused
	// cut-in-frame
}
