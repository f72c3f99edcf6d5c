package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/magne-actors/magne-actors/internal/wire"
)

// FuzzReader feeds a Reader what a broken or hostile worker may send. Whatever
// it is: no panic, an end, an error that is final and of a known kind, the same
// frames for every division into reads, and frames that can be said again.
func FuzzReader(f *testing.F) {
	for _, s := range seeds() {
		f.Add([]byte(s))
	}
	limits := wire.Limits{MaxHeader: 512, MaxBody: 1024}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := wire.NewReader(bytes.NewReader(data), limits)
		slow := wire.NewReader(iotest.OneByteReader(bytes.NewReader(data)), limits)
		rest := data
		for {
			frame, err := r.Next()
			again, slowErr := slow.Next()
			if (err == nil) != (slowErr == nil) || err != nil && err.Error() != slowErr.Error() {
				t.Fatalf("in one read: %v, byte by byte: %v", err, slowErr)
			}
			if err != nil {
				checkError(t, r, err)
				return
			}
			if diff := equal(frame, again); diff != "" {
				t.Fatalf("(-in one read +byte by byte):\n%s", diff)
			}
			line, after, _ := bytes.Cut(rest, []byte("\n"))
			n := checkHeader(t, line, frame.Type)
			rest = after[n:]
			checkAgain(t, frame)
		}
	})
}

func checkError(t *testing.T, r *wire.Reader, err error) {
	t.Helper()
	violation, ok := errors.AsType[*wire.ProtocolError](err)
	if !ok && !errors.Is(err, io.EOF) || ok && (len(violation.Head) > 256 || violation.What == "") {
		t.Fatalf("error %#v", err)
	}
	if _, next := r.Next(); !errors.Is(next, err) {
		t.Fatalf("after %v: %v", err, next)
	}
}

// checkHeader holds our scanner against encoding/json and returns the length of
// the body.
func checkHeader(t *testing.T, line []byte, typ wire.Type) int {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(line, &m); err != nil || m["t"] != string(typ) {
		t.Fatalf("read %q from %q, encoding/json has %v (%v)", typ, line, m["t"], err)
	}
	n, _ := m["len"].(float64)
	return int(n)
}

// checkAgain writes the frame, reads it and writes it again.
func checkAgain(t *testing.T, frame wire.Frame) {
	t.Helper()
	first := append(wire.AppendHeader(nil, &frame), frame.Body...)
	read, err := wire.NewReader(bytes.NewReader(first), wire.Limits{}).Next()
	if err != nil {
		t.Fatalf("%q: %v", first, err)
	}
	if second := append(wire.AppendHeader(nil, &read), read.Body...); !bytes.Equal(first, second) {
		t.Fatalf("wrote %q, read it and wrote %q", first, second)
	}
}

// FuzzSession plays a supervisor and a worker that says anything: no task is
// settled twice, and none that was abandoned.
func FuzzSession(f *testing.F) {
	f.Add([]byte("h0o1"))
	f.Add([]byte("sh00a1o1o2"))
	f.Add([]byte("h0e1e1"))
	f.Add([]byte("h0r9"))
	f.Fuzz(func(t *testing.T, script []byte) {
		var s wire.Session
		types := map[byte]wire.Type{
			'h': wire.Hello, 's': wire.Step, 'o': wire.OK, 'e': wire.Error, 'r': wire.Retry,
			'p': wire.Progress, 'l': wire.Log, 'b': wire.Beat, 'x': "shiny", 't': wire.Task,
		}
		over, issued := map[uint64]bool{}, uint64(0)
		for i := 0; i+1 < len(script); i++ {
			id := uint64(script[i+1] % 16)
			switch op := script[i]; {
			case op == '0':
				if issued++; s.Issue() != issued {
					t.Fatal("ids do not rise by 1")
				}
			case op == 'a' && s.Abandon(id):
				if over[id] || id == 0 || id > issued {
					t.Fatalf("task %d abandoned, over %v, issued %d", id, over[id], issued)
				}
				over[id] = true
			default:
				m, err := s.Receive(&wire.Frame{Type: types[op], ID: id})
				if err != nil {
					return
				}
				if m == wire.Settled {
					if over[id] || id == 0 || id > issued {
						t.Fatalf("task %d settled, over %v, issued %d", id, over[id], issued)
					}
					over[id] = true
				}
			}
			if s.Open() != int(issued)-len(over) {
				t.Fatalf("open %d, issued %d, over %d", s.Open(), issued, len(over))
			}
		}
	})
}

func seeds() []string {
	return []string{
		"", "\n", "{}\n", "{\"t\":\"beat\"}\n",
		`{"t":"hello","proto":1,"tasks":["resize","thumb"],"concurrency":1,"caps":["cancel"],"sdk":"py/0.1","pid":4242}` + "\n",
		`{"t":"ok","id":17,"len":3}` + "\nabc" + `{"t":"error","id":1,"kind":"V","msg":"\u00e9\"","permanent":true,"len":1}` + "\nx",
		`{"t":"retry","id":17,"after_ms":5000,"msg":"x"}` + "\n" + `{"t":"progress","id":1,"pct":1.5e1}` + "\n",
		`{"t":"log","id":17,"level":"info","msg":"m","f":{"a":[{}]}}` + "\n" + `{"t":"pong","n":5}` + "\n",
		`{"t":"task","id":17,"name":"r","attempt":1,"deadline_ms":29950,"ct":"a/j","hdr":{"t":"u"},"len":2}` + "\n[]",
		`{"t":"welcome","proto":1,"slot":"r/3","max_header":65536,"max_body":1,"beat_ms":5000}` + "\n",
		`{"t":"cancel","id":17,"reason":"timeout"}` + "\n" + `{"t":"drain","deadline_ms":1}` + "\n",
		`{"t":"shiny","len":3}` + "\nabc" + ` { "\u0074" : "bye" , "x":[{"a":"}"}] } ` + "\n",
		`{"t":"ok","id":1,"len":9007199254740992}` + "\n", `{"t":"ok","id":1,"len":99}` + "\nabc",
		`{"t":"ok","id":1,"id":2}` + "\n", `{"t":"ok","id":null,"id":2}` + "\n", "{\"t\":\"\xff\"}\n", `{"t":"`,
	}
}
