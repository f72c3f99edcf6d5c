package core

import (
	"sync"
	"testing"
	. "testing"
	"time"

	"example.org/lib"
	"example.org/planted/actors"
)

func TestSleep(t *testing.T) {
	var mu sync.Mutex
	go actors.Do()
	time.Sleep(time.Millisecond)
	lib.Do(&mu, T{})
}
