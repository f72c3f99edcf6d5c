// Package sub is below a directory without locks, and has a named go file.
package sub

import "sync"

var mu sync.RWMutex
