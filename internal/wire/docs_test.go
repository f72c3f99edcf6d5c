package wire

import (
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDocument: the frames in docs/worker-protocol.md are frames, of every type and
// with every key.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/worker-protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	types, frames := map[Type]bool{}, ""
	for _, block := range regexp.MustCompile("(?s)```text frames\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		frames += block[1]
		r := NewReader(strings.NewReader(block[1]), Limits{})
		var last Frame
		for {
			f, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("after %+v: %v", last, err)
			}
			last, types[f.Type] = f, true
			if line := string(AppendHeader(nil, &f)); supervises(f.Type) && !strings.Contains(block[1], line) {
				t.Errorf("we write this frame as %s", line)
			}
		}
	}
	for _, typ := range []Type{Welcome, Task, Cancel, Ping, Drain, Step, Hello, OK, Error, Retry, Progress, Beat, Log, Pong, Bye} {
		if !types[typ] {
			t.Errorf("no %s frame in the document", typ)
		}
	}
	for _, name := range keyNames {
		if !strings.Contains(frames, `"`+name+`":`) {
			t.Errorf("no frame in the document has the key %s", name)
		}
	}
	for _, name := range []string{EnvProto, EnvFdIn, EnvFdOut, EnvPool, EnvSlot, EnvGen, EnvCookie, HeaderID, HeaderQueue, HeaderRedelivered} {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("the document does not say what %s is", name)
		}
	}
}

func supervises(typ Type) bool {
	switch typ {
	case Welcome, Task, Cancel, Ping, Drain:
		return true
	}
	return false
}
