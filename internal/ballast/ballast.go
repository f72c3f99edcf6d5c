package ballast

import (
	"os"
	"runtime"
)

// Size is the size of the ballast in bytes: how much more garbage there may be.
const Size = 32 << 20

// Load loads the ballast and returns the function that drops it. Where the
// environment has GOGC or GOMEMLIMIT somebody has decided otherwise, and it does
// nothing.
func Load(getenv func(string) string) (drop func()) {
	if getenv("GOGC") != "" || getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	block := make([]byte, Size) // without pointers and fresh from the kernel: not even zeroed
	return func() { runtime.KeepAlive(block) }
}

// Program loads the ballast as the environment of the process allows.
func Program() (drop func()) { return Load(os.Getenv) }
