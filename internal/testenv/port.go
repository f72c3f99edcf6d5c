package testenv

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// FreePort returns a TCP port of 127.0.0.1 that nobody listens on. It is below the
// range that Linux gives to outgoing connections (32768 and up), so that a server
// which is stopped finds it free when it is started again; two callers get the
// same one with a probability of 1 in 20,000. It does not block.
func FreePort() (int, error) {
	const lowest, beyond = 12_000, 32_000
	var failed error
	for range 100 {
		port := lowest + rand.IntN(beyond-lowest)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
		failed = err
	}
	return 0, errors.Join(fmt.Errorf("testenv: no free port from %d to %d", lowest, beyond-1), failed)
}
