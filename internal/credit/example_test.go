package credit_test

import (
	"fmt"

	"github.com/magne-actors/magne-actors/internal/credit"
)

func Example() {
	w := credit.NewWatermark(3, 1)
	w.Add()
	w.Add()
	fmt.Println(w.Add(), w.Depth()) // high is reached
	w.Done(1)
	fmt.Println(w.Paused(), w.Depth())
	w.Done(1)
	fmt.Println(w.Paused(), w.Depth()) // low is reached
	// Output:
	// true 3
	// true 2
	// false 1
}
