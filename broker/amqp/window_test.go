package amqp

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/broker"
)

// TestWindowGolden runs the scripts of testdata/window. Commands:
//
//	window prefetch=N          a new window
//	ack|requeue|reject T...    settle tags (a-b is a range) at the current time
//	wait 2ms                   move the clock
//	plan                       show the frames that are due
//	flush                      show all that there are
func TestWindowGolden(t *testing.T) {
	datadriven.Walk(t, "testdata/window", func(t *testing.T, path string) {
		var w *window
		now := time.Unix(0, 0)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "window":
				var prefetch int
				d.ScanArgs(t, "prefetch", &prefetch)
				w = newWindow(prefetch)
				return "ok"
			case "wait":
				step, err := time.ParseDuration(d.CmdArgs[0].Key)
				if err != nil {
					t.Fatal(err)
				}
				now = now.Add(step)
				return "ok"
			case "plan", "flush":
				return showFrames(w.plan(now, d.Cmd == "flush", nil)) + showWindow(w)
			default:
				return settleTags(t, d, w, now) + showWindow(w)
			}
		})
	})
}

func settleTags(t *testing.T, d *datadriven.TestData, w *window, now time.Time) string {
	v, ok := map[string]broker.Verdict{"ack": broker.Ack, "requeue": broker.Requeue, "reject": broker.Reject}[d.Cmd]
	if !ok {
		t.Fatalf("unknown command %q", d.Cmd)
	}
	var out strings.Builder
	for _, arg := range d.CmdArgs {
		var first, last uint64
		if n, _ := fmt.Sscanf(arg.Key, "%d-%d", &first, &last); n < 2 {
			last = first
		}
		for tag := first; tag <= last; tag++ {
			if !w.settle(tag, v, now) {
				fmt.Fprintf(&out, "%d was settled before\n", tag)
			}
		}
	}
	return out.String()
}

func showFrames(frames []frame) string {
	var out strings.Builder
	for _, f := range frames {
		name := [...]string{broker.Ack: "ack", broker.Requeue: "nack", broker.Reject: "reject"}[f.verdict]
		fmt.Fprintf(&out, "%s %d", name, f.tag)
		if f.multiple {
			fmt.Fprintf(&out, " multiple, settles %d", f.n)
		}
		out.WriteByte('\n')
	}
	return out.String()
}

func showWindow(w *window) string {
	return fmt.Sprintf("held %d, strays %d\n", w.held, len(w.strays))
}

// channelModel is a channel of RabbitMQ: what it does with frames.
type channelModel struct {
	next      uint64              // tag of the next delivery
	unsettled map[uint64]struct{} // delivered, and neither acked nor nacked nor rejected
}

func (m *channelModel) deliver() uint64 {
	m.next++
	m.unsettled[m.next] = struct{}{}
	return m.next
}

// apply returns the tags that f settles, or an error where RabbitMQ would close
// the channel.
func (m *channelModel) apply(f frame) ([]uint64, error) {
	if _, ok := m.unsettled[f.tag]; !ok {
		return nil, fmt.Errorf("406 unknown delivery tag %d", f.tag)
	}
	var tags []uint64
	for tag := range m.unsettled {
		if tag == f.tag || f.multiple && tag < f.tag {
			tags = append(tags, tag)
			delete(m.unsettled, tag)
		}
	}
	return tags, nil
}

// TestWindowModel settles in random order against a model of the broker: no tag
// is settled twice or with another verdict than the task's, none that still
// runs, the counts are right, nothing waits too long, and in the end all is
// settled.
func TestWindowModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prefetch := rapid.IntRange(1, 300).Draw(t, "prefetch")
		r := &windowRun{
			t: t, w: newWindow(prefetch), now: time.Unix(0, 0),
			broker:  channelModel{unsettled: map[uint64]struct{}{}},
			ended:   map[uint64]broker.Verdict{},
			endedAt: map[uint64]time.Time{},
		}
		slow := rapid.Bool().Draw(t, "first one never ends")
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			r.step(prefetch, slow)
		}
		for len(r.running) > 0 {
			r.end(0, broker.Ack)
		}
		r.plan(true)
		if len(r.ended) > 0 || len(r.broker.unsettled) > 0 || r.w.waiting() {
			t.Fatalf("not settled in the end: %d by us, %d at the broker", len(r.ended), len(r.broker.unsettled))
		}
	})
}

type windowRun struct {
	t       *rapid.T
	w       *window
	now     time.Time
	broker  channelModel
	running []uint64
	ended   map[uint64]broker.Verdict // and not settled at the broker
	endedAt map[uint64]time.Time
}

func (r *windowRun) step(prefetch int, slow bool) {
	for len(r.broker.unsettled) < prefetch {
		r.running = append(r.running, r.broker.deliver())
	}
	from := 0
	if slow {
		from = 1
	}
	for range rapid.IntRange(0, 100).Draw(r.t, "ends") {
		if len(r.running) <= from {
			break
		}
		i := rapid.IntRange(from, len(r.running)-1).Draw(r.t, "which")
		v := broker.Ack
		if rapid.IntRange(0, 9).Draw(r.t, "verdict") == 0 {
			v = rapid.SampledFrom([]broker.Verdict{broker.Requeue, broker.Reject}).Draw(r.t, "other verdict")
		}
		r.end(i, v)
	}
	r.plan(false)
	r.now = r.now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(r.t, "microseconds")) * time.Microsecond)
}

func (r *windowRun) end(i int, v broker.Verdict) {
	tag := r.running[i]
	r.running = append(r.running[:i], r.running[i+1:]...)
	r.ended[tag], r.endedAt[tag] = v, r.now
	if !r.w.settle(tag, v, r.now) {
		r.t.Fatalf("settle %d: refused", tag)
	}
	if r.w.settle(tag, broker.Reject, r.now) {
		r.t.Fatalf("settle %d a second time: accepted", tag)
	}
}

func (r *windowRun) plan(flush bool) {
	for _, f := range r.w.plan(r.now, flush, nil) {
		tags, err := r.broker.apply(f)
		if err != nil {
			r.t.Fatal(err)
		}
		if len(tags) != f.n {
			r.t.Fatalf("frame %+v settles %d deliveries", f, len(tags))
		}
		for _, tag := range tags {
			if r.ended[tag] != f.verdict {
				r.t.Fatalf("frame %+v settles %d, whose verdict is %d", f, tag, r.ended[tag])
			}
			delete(r.ended, tag)
		}
	}
	if 2*len(r.ended) >= r.w.prefetch && len(r.ended) > 0 {
		r.t.Fatalf("%d of %d wait", len(r.ended), r.w.prefetch)
	}
	for tag := range r.ended {
		if age := r.now.Sub(r.endedAt[tag]); age >= lateHold {
			r.t.Fatalf("%d has waited %v", tag, age)
		}
	}
	if n, limit := len(r.w.states), 8*r.w.prefetch+4096; n > limit {
		r.t.Fatalf("the window knows %d tags, more than %d", n, limit)
	}
}

// TestWindowIsBounded lets one task run for ever while a million others end.
func TestWindowIsBounded(t *testing.T) {
	const prefetch = 100
	w, now := newWindow(prefetch), time.Unix(0, 0)
	most := 0
	for tag := uint64(2); tag < 1_000_000; tag++ {
		w.settle(tag, broker.Ack, now)
		for _, f := range w.plan(now, false, nil) {
			if f.multiple {
				t.Fatalf("a multiple-ack of %d would ack 1, which runs", f.tag)
			}
		}
		most = max(most, len(w.states)+len(w.strays)+len(w.late))
	}
	if limit := 10*prefetch + 4096; most > limit {
		t.Errorf("the window grew to %d entries, want at most %d", most, limit)
	}
	w.settle(1, broker.Ack, now)
	w.settle(1_000_000, broker.Ack, now)
	w.settle(1_000_001, broker.Ack, now)
	got := showFrames(w.plan(now, true, nil))
	if want := "ack 1\nack 1000000\nack 1000001\n"; w.waiting() || !strings.HasSuffix(got, want) {
		t.Errorf("after the stray: got %q, want it to end with %q", got, want)
	}
	w.settle(1_000_002, broker.Ack, now)
	w.settle(1_000_003, broker.Ack, now)
	if got, want := showFrames(w.plan(now, true, nil)), "ack 1000003 multiple, settles 2\n"; got != want {
		t.Errorf("without strays: got %q, want %q", got, want)
	}
}

// BenchmarkWindow measures the decision alone, per delivery: in order, and with
// neighbours swapped.
func BenchmarkWindow(b *testing.B) {
	for _, swap := range []uint64{0, 7} {
		b.Run(fmt.Sprintf("swap=%d", swap), func(b *testing.B) {
			w, now := newWindow(1000), time.Unix(0, 0)
			var frames []frame
			tag := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				w.settle(tag^swap+1, broker.Ack, now)
				if tag++; tag%64 == 0 {
					now = now.Add(time.Millisecond)
					frames = w.plan(now, false, frames[:0])
				}
			}
		})
	}
}
