package faults

import (
	"encoding/binary"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// frame is the bytes of an AMQP frame.
func frame(kind byte, channel uint16, payload []byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{kind}, channel)
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	return append(append(b, payload...), frameEnd)
}

// said is what a reader of frames has handed on.
type said struct {
	channel   uint16
	class, id uint16
	args      string
}

// TestFramesHoweverTheyAreCut: the methods are the same wherever reads end.
func TestFramesHoweverTheyAreCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stream := []byte("AMQP\x00\x00\x09\x01")
		var want []said
		for range rapid.IntRange(0, 20).Draw(t, "frames") {
			channel := rapid.Uint16().Draw(t, "channel")
			rest := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "rest")
			if kind := rapid.SampledFrom([]byte{1, 2, 3, 8}).Draw(t, "kind"); kind != frameMethod {
				stream = append(stream, frame(kind, channel, rest)...)
				continue
			}
			m := said{channel, rapid.Uint16().Draw(t, "class"), rapid.Uint16().Draw(t, "method"), string(rest)}
			payload := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, m.class), m.id)
			stream = append(stream, frame(frameMethod, channel, append(payload, rest...))...)
			want = append(want, m)
		}
		var got []said
		f := &frames{skip: greeting, method: func(channel uint16, m method) {
			got = append(got, said{channel, m.class, m.id, string(m.args)})
		}}
		for len(stream) > 0 {
			n := rapid.IntRange(1, len(stream)).Draw(t, "read")
			if err := f.write(stream[:n]); err != nil {
				t.Fatal(err)
			}
			stream = stream[n:]
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestFramesThatAreNone(t *testing.T) {
	good := frame(frameMethod, 1, []byte{0, 60, 0, 80, 0, 0, 0, 0, 0, 0, 0, 1, 0})
	for name, spoil := range map[string]func([]byte){
		"end":  func(b []byte) { b[len(b)-1] ^= 1 },
		"type": func(b []byte) { b[0] = 0x51 },
		"size": func(b []byte) { b[3] = 0xFF },
	} {
		bad := append([]byte(nil), good...)
		spoil(bad)
		f := &frames{method: func(uint16, method) {}}
		if err := f.write(bad); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

// TestTagsAgainstAModel: settlements of open deliveries are counted once each, and
// any other is seen.
func TestTagsAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tags, got, want := newTags(), Wire{}, Wire{}
		settled := map[uint64]bool{} // of all that were delivered
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "deliver") {
				want.Delivered++
				settled[uint64(want.Delivered)] = false
				tags.deliver(uint64(want.Delivered), &got)
				continue
			}
			tag := rapid.Uint64Range(0, uint64(want.Delivered)+1).Draw(t, "tag")
			multiple := rapid.Bool().Draw(t, "multiple")
			tags.settle(tag, multiple, &got)
			done, delivered := settled[tag]
			switch {
			case tag == 0 && multiple:
				tag = uint64(want.Delivered)
			case !delivered:
				want.Foreign++
			case done:
				want.Twice++
			}
			for n := range settled {
				if !settled[n] && (n == tag || multiple && n < tag) {
					settled[n] = true
					want.Settled++
				}
			}
		}
		if got != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

func TestTally(t *testing.T) {
	a := new(accounts)
	for range 7 {
		a.publish()
	}
	for n := range 6 {
		a.answered(n, confirmed) // and 6 is unknown
	}
	a.begun(0, 1)
	a.begun(0, 2)
	a.done(0) // as it should be, at the second attempt
	a.begun(1, 1)
	a.begun(1, 1)
	a.done(1) // a duplicate
	a.begun(2, 1)
	a.dead(2) // given up
	a.begun(6, 1)
	a.done(6)
	a.remove() // excuses 3, 4, 5
	a.answered(a.publish(), confirmed)
	a.answered(a.publish(), refused)
	last := a.publish()
	a.answered(last, confirmed)
	a.left(last)
	a.done(99) // not ours
	want := Tally{Published: 10, Confirmed: 8, Left: 1, Unknown: 1, Refused: 1, Executed: 3, Removed: 3, Dead: 1, Lost: 1, Missing: []int{7}, Duplicates: 1}
	if got := a.tally(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestJudge(t *testing.T) {
	f := &Fault{lasts: time.Second, more: time.Second}
	good := func() Row {
		took := 2.9
		return Row{Recovery: &took, ReadyzAfter: true, named: true}
	}
	row := good()
	if row.judge(f, 0); !row.Pass() || row.Limit != 3 {
		t.Errorf("got %v and the limit %v, want none and 3", row.Problems, row.Limit)
	}
	late := 3.1
	for name, spoil := range map[string]func(*Row){
		"lost":     func(r *Row) { r.Lost = 1 },
		"twice":    func(r *Row) { r.Wire.Twice = 1 },
		"foreign":  func(r *Row) { r.Wire.Foreign = 1 },
		"never":    func(r *Row) { r.Recovery = nil },
		"late":     func(r *Row) { r.Recovery = &late },
		"unnamed":  func(r *Row) { r.named = false },
		"blind":    func(r *Row) { r.blind = true },
		"not well": func(r *Row) { r.ReadyzAfter = false },
	} {
		row := good()
		spoil(&row)
		if row.judge(f, 0); len(row.Problems) != 1 {
			t.Errorf("%s: got %q, want one problem", name, row.Problems)
		}
	}
	row = good()
	row.Recovery = &late
	if row.judge(f, time.Minute); !row.Pass() {
		t.Errorf("late, with slack: got %q", row.Problems)
	}
}
