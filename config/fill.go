package config

import (
	"cmp"
	"time"

	"github.com/magne-actors/magne-actors/task/codec"
)

// maxConcurrent bounds the tasks that the workers of a pool hold.
const maxConcurrent = 1_000_000

// fill gives the pool the defaults that depend on other values, and takes away
// those of other modes.
func (f *File) fill(p *Pool) {
	if p.Queue == "" {
		p.Queue = p.Name
		if p.Codec == (codec.Magne{}).Name() {
			p.Queue = codec.MagneQueueName(p.Name)
		}
	}
	f.fillMode(p)
	p.Watermarks.High = cmp.Or(p.Watermarks.High, min(p.Capacity(), maxConcurrent))
	f.fillRetry(p)
	d := &f.Supervision.Defaults
	p.Restart = cmp.Or(p.Restart, d.Restart)
	usual := 5 * time.Second
	if p.HasProcesses() {
		usual = 30 * time.Second
	}
	p.Shutdown = cmp.Or(p.Shutdown, d.Shutdown, usual)
}

func (f *File) fillMode(p *Pool) {
	if p.HasProcesses() {
		p.AbandonAfter = 0
	} else {
		p.Timeout = Timeout{Hard: p.Timeout.Hard}
		p.Process, p.MaxLost, p.Logs = nil, 0, Logs{}
	}
	if p.Mode == modeProcess {
		p.Slots, p.Pipeline = 0, cmp.Or(p.Pipeline, p.Concurrency)
		f.fillSize(p)
		return
	}
	p.Timeout.Soft, p.Timeout.DumpSignal = 0, ""
	p.Size, p.Concurrency, p.Pipeline, p.StartTimeout, p.Watchdog = nil, 0, 0, 0, 0
	p.Quarantine, p.Recycle, p.Reload = Quarantine{}, Recycle{}, Reload{}
	if p.Process != nil {
		p.Process.Transport = ""
	}
}

func (f *File) fillSize(p *Pool) {
	s := p.Size
	if s == nil {
		return
	}
	p.Workers = 0
	if f.read.given(poolPath(p.Name) + ".size.min") {
		return
	}
	if s.Min = min(1, s.Max); s.Mode == "static" {
		s.Min = s.Max
	}
}
