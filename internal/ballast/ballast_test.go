package ballast_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/magne-actors/magne-actors/internal/ballast"
)

// next is the heap size at which the next collection is due.
func next() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.NextGC
}

func unset(string) string { return "" }

func TestLoadPutsTheNextCollectionOff(t *testing.T) {
	before := next()
	drop := ballast.Load(unset)
	if got := next(); got < before+ballast.Size {
		t.Errorf("next collection at %d with the ballast, %d without, want %d more", got, before, ballast.Size)
	}
	drop()
	if got := next(); got >= before+ballast.Size {
		t.Errorf("next collection at %d after the ballast was dropped, %d before it was loaded", got, before)
	}
}

func TestLoadLeavesTheUsersSettingAlone(t *testing.T) {
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		before := next()
		drop := ballast.Load(func(s string) string { return map[string]string{name: "1"}[s] })
		if got := next(); got >= before+ballast.Size {
			t.Errorf("with %s set the ballast was loaded all the same", name)
		}
		drop()
	}
}

func Example() {
	defer ballast.Program()()
	fmt.Println("run")
	// Output: run
}
