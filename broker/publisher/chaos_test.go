package publisher_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/publisher"
)

// TestChaos: whatever the broker does, each publication is answered once, what was
// accepted is there, and what is said not to have been published is not.
func TestChaos(t *testing.T) {
	var sent, unsent, unknown int
	dir := t.TempDir
	rapid.Check(t, func(rt *rapid.T) {
		spooled := rapid.Bool().Draw(rt, "spool")
		o := publisher.Options{Window: rapid.IntRange(1, 20).Draw(rt, "window"), FailBlocked: rapid.Bool().Draw(rt, "fail blocked")}
		if spooled {
			o.SpoolDir = dir()
		}
		synctest.Test(t, func(t *testing.T) {
			s := newStage()
			o.Dialer = s
			p := open(t, o)
			receipts := misbehave(t, rt, s, p)
			s.Deny(nil)
			s.Refuse(nil)
			s.release()
			time.Sleep(2 * time.Minute)
			shut(t, p)
			arrived := map[string]int{}
			for _, id := range s.ids("work") {
				arrived[id]++
			}
			for _, r := range receipts {
				outcome, err := r.Result()
				here := arrived[r.MessageID()] > 0
				switch {
				case outcome != 0:
					if sent++; !here {
						rt.Fatalf("%s was %v and is not there", r.MessageID(), outcome)
					}
				case errors.Is(err, broker.ErrUnknown):
					unknown++
				default:
					if unsent++; here {
						rt.Fatalf("%s is there: %v", r.MessageID(), err)
					}
				}
			}
			if st := p.Stats(); st.Open != 0 || int(st.Confirmed+st.Spooled+st.Returned+st.Unknown+st.Failed) != len(receipts) {
				rt.Fatalf("%d receipts, stats: %+v", len(receipts), st)
			}
		})
	})
	if sent == 0 || unknown == 0 || unsent == 0 {
		t.Errorf("%d accepted, %d unknown, %d not published: want some of each", sent, unknown, unsent)
	}
}

// misbehave publishes while the broker does what it can.
func misbehave(t *testing.T, rt *rapid.T, s *stage, p *publisher.Publisher) (receipts []*publisher.Receipt) {
	unblock := func() {}
	defer func() { unblock() }()
	steps := rapid.SliceOfN(rapid.SampledFrom([]string{
		"publish", "publish", "publish", "publish", "cut", "deny", "admit", "refuse", "return", "accept", "hold", "release", "block", "unblock", "wait", "wait",
	}), 10, 60).Draw(rt, "steps")
	for _, step := range steps {
		switch step {
		case "publish":
			limit := time.Duration(rapid.SampledFrom([]int{1, 100, 5_000, 600_000}).Draw(rt, "limit")) * time.Millisecond
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			t.Cleanup(cancel)
			if r, err := p.Async(ctx, message("")); err == nil {
				receipts = append(receipts, r)
			}
		case "cut":
			s.cut()
		case "deny":
			s.Deny(broker.ErrUnreachable)
		case "admit":
			s.Deny(nil)
		case "refuse":
			s.Refuse(broker.ErrRefused)
		case "return":
			s.Refuse(broker.ErrUnroutable)
		case "accept":
			s.Refuse(nil)
		case "hold":
			s.hold()
		case "release":
			s.release()
		case "block":
			unblock()
			unblock = s.block("low on memory")
		case "unblock":
			unblock()
			unblock = func() {}
		case "wait":
			<-time.After(time.Duration(rapid.IntRange(1, 4000).Draw(rt, "ms")) * time.Millisecond)
		}
	}
	return receipts
}
