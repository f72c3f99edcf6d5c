package actors

import (
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/magne-actors/magne-actors/supervisor/process"
)

// A signal for a worker that has no process says what there is in its place.
func TestSignalWithoutAProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		oneshot := Pool{Mode: Oneshot, Slots: 2, Process: &process.Options{Spec: process.Spec{Command: []string{"true"}}}}
		r := start(t, oneshot)
		for id, want := range map[string]string{
			"work/1":    "mode oneshot",
			"pool:work": "no process of its own",
			"nobody":    "no such child",
		} {
			if err := r.system.Signal(id, syscall.SIGTERM); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q", id, err, want)
			}
		}
		r.expect(r.finish())
	})
}
