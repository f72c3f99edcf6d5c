package quarantine_test

import (
	"fmt"

	"github.com/magne-actors/magne-actors/internal/quarantine"
)

func Example() {
	w := quarantine.New(1, 8)
	// Both workers are busy: the one with less to do is kept until it is idle.
	view := quarantine.View{Suspects: 1, Others: 5, Workers: []quarantine.Worker{{Up: true, Busy: 8}, {Up: true, Busy: 3}}}
	fmt.Println(w.Next(view), w.Keeps(1))
	view.Workers[1].Busy = 0
	fmt.Println(w.Next(view)) // the suspect runs there
	w.Left(1)
	view.Suspects = 0
	fmt.Println(w.Next(view), w.Keeps(1))
	// Output:
	// [{keep 1}] true
	// [{admit 1}]
	// [{free 1}] false
}
