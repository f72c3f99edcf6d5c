package actors

import (
	"sync"

	"example.org/lib"
	"example.org/nobody"
)

// Do starts goroutines.
func Do() {
	go lib.Do()
	nobody.Knows()
	new(sync.WaitGroup).Go(lib.Do)
}

type locked struct{ mu sync.Mutex }
