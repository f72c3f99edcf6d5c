package clean_test

import (
	"fmt"

	"example.org/planted/clean"
	"example.org/testonly"
)

func ExampleDo() {
	fmt.Println(clean.Do("x"), testonly.Y)
	// Output: X
}
