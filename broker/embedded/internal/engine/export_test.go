package engine

import "time"

// SetClock sets the engine's clock by d, as if the machine's had been wrong at Open
// and was set right after it.
func (e *Engine) SetClock(d time.Duration) { e.began += d.Microseconds() }
