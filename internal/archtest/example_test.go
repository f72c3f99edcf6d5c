package archtest_test

import (
	"fmt"

	"github.com/magne-actors/magne-actors/internal/archtest"
)

func ExampleCheck() {
	violations, err := archtest.Check("testdata/planted/stray", archtest.Rules{MaxFile: 400})
	if err != nil {
		panic(err)
	}
	for _, v := range violations {
		fmt.Println(v.Where)
	}
	// Output: .
}
