package config

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/task/codec"
)

// Warnings are what is allowed and probably not meant, by place. It is worth
// looking at only when there were no errors.
func (f *File) Warnings() []*FieldError { return sorted(f.read.warns) }

// lint collects the warnings of a file without errors.
func (f *File) lint(m machine) {
	queues := map[string]string{}
	for i := range f.Pools {
		p := &f.Pools[i]
		f.lintTimes(p)
		f.lintSizes(p)
		f.lintMagne(p)
		f.lintProcess(p, m)
		f.lintIntensity(poolPath(p.Name), p.Intensity, p.Period)
		if other, shared := queues[p.Queue]; shared {
			f.read.warn(poolPath(p.Name)+".queue", "pool %s consumes from %q as well: a message goes to either of the two", other, p.Queue)
		}
		queues[p.Queue] = p.Name
	}
	f.lintEmbedded()
	f.lintLink()
	f.lintSpool()
	f.lintControl()
	f.lintIntensity("supervision.root", f.Supervision.Root.Intensity, f.Supervision.Root.Period)
	f.lintIntensity("supervision.pools", f.Supervision.Pools.Intensity, f.Supervision.Pools.Period)
}

func (f *File) lintTimes(p *Pool) {
	at := poolPath(p.Name)
	timeout := at + ".timeout"
	if f.read.given(timeout + ".hard") {
		timeout += ".hard"
	}
	who, key, limit := "RabbitMQ", "its consumer_timeout", f.Broker.AckTimeout
	if f.Broker.IsEmbedded() {
		who, key, limit = "the embedded broker", "broker.embedded.consumer_timeout", f.Broker.Embedded.ConsumerTimeout
	}
	hard := p.Timeout.Hard
	if hard >= limit && limit > 0 {
		f.read.warn(timeout, "%v is not below %v: %s closes the channel of a delivery that is not settled for so long, "+
			"and runs the task again; raise %s as well", short(hard), short(limit), who, key)
	}
	f.lintRetry(p, at+".retry", who, key, limit)
	if hard > f.Shutdown {
		f.read.warn(timeout, "%v is longer than shutdown (%v): tasks that still run then are cut off and run again; raise shutdown to %v",
			short(hard), short(f.Shutdown), short(hard))
	}
	if p.Mode == modeProcess && p.Shutdown > 0 && hard > p.Shutdown {
		f.read.warn(at+".shutdown", "%v is shorter than timeout.hard (%v): when a process is replaced or scaled away, a task that still runs then is cut off and runs again; "+
			"raise it to %v", short(p.Shutdown), short(hard), short(hard))
	}
}

func (f *File) lintSizes(p *Pool) {
	capacity, idle, lower := p.Capacity(), "slots", "slots"
	if p.Mode == modeProcess {
		idle, lower = "processes", "their number"
	}
	if p.Watermarks.High < capacity {
		f.read.warn(poolPath(p.Name)+".watermarks.high", "%d is below %s (%d): %d tasks at most run at once and the rest of the %s idle; "+
			"raise high or lower %s", p.Watermarks.High, p.capacityName(), capacity, p.Watermarks.High, idle, lower)
	}
}

// lintMagne: a magne publisher sends each task to the queue of that name.
func (f *File) lintMagne(p *Pool) {
	if p.Codec != (codec.Magne{}).Name() {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(p.Tasks)) {
		if q := codec.MagneQueueName(name); q != p.Queue {
			f.read.warn(poolPath(p.Name)+".tasks"+component(name), "magne publishes this task to the queue %s, and the pool consumes from %s: "+
				"set queue: %s", q, p.Queue, q)
		}
	}
}

// lintIntensity: when the waits between restarts alone last longer than period,
// the supervisor can never give up.
func (f *File) lintIntensity(at string, intensity int, period time.Duration) {
	b := f.Supervision.Defaults.Backoff
	var shortest time.Duration
	wait := float64(b.Initial)
	for range intensity {
		shortest += time.Duration(min(wait, float64(b.Max)) * (1 - b.Jitter))
		wait = min(wait*b.Factor, float64(b.Max))
	}
	if shortest > period {
		f.read.warn(at+".intensity", "%d restarts take at least %v with supervision.defaults.backoff, longer than period (%v): "+
			"the supervisor would never give up; lower intensity or raise period", intensity, short(shortest), short(period))
	}
}

// short is a duration without zero units: 1h, not 1h0m0s.
func short(d time.Duration) string {
	s := d.Round(time.Millisecond).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
