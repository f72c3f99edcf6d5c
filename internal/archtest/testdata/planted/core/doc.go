// Package core may import the standard library only.
package core

import (
	alias "fmt"
	"time"

	"example.org/lib/deep"
	"example.org/planted/actors"
	"example.org/planted/clean"
)

func init() { deep.Do() }

func long() {
	alias.Println(clean.Do("x"))
	actors.Do()
	_ = alias.Sprint()
	_ = 1
	_ = 2
	_ = 3
	_ = 4
}

type method struct{}

// Not an init function, not a sleep in a test, not package fmt.
func (method) init() {
	time.Sleep(0)
	alias := struct{ Println func() }{}
	alias.Println()
}
