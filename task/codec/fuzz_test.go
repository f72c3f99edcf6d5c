package codec_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/magne-actors/magne-actors/task"
	"github.com/magne-actors/magne-actors/task/codec"
)

// addGolden adds all bodies of the golden test as seeds.
func addGolden(f *testing.F) {
	f.Helper()
	golden, err := os.ReadFile("testdata/decode.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(golden)) {
		if strings.HasPrefix(line, "{") {
			f.Add([]byte(line))
		}
	}
}

func FuzzDecodeJSON(f *testing.F) {
	addGolden(f)
	for _, s := range []string{
		``, `{}`, `{"task":"a"}`, `{"task":"a","id":"b","args":[1,"]"],"kwargs":{"k":[{}]},"headers":{"h":"v"}}`,
		`{"task":"a","TASK":"b"}`, `{"task":"a","task":"b"}`, `{"t\u0061sk":"a\\\""}`, `{"task":"a","args":null}`,
		" { \"task\" : \"a\" , \"x\" : 1.5e-3 ,\n\"y\":true}\t", `{"task":"a"}{}`, "{\"task\":\"\xff\"}", nested(70),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var want struct {
			Task    *string
			ID      string
			Args    json.RawMessage
			Kwargs  json.RawMessage
			Headers map[string]string
		}
		m, err := codec.JSON{}.Decode(&task.Raw{Body: body})
		ref := json.Unmarshal(body, &want)
		if err != nil {
			typed := startsWith(want.Args, '[') && startsWith(want.Kwargs, '{')
			if ref == nil && typed && want.Task != nil && !mayRefuse(body, err) {
				t.Fatalf("%q: refused with %v, encoding/json reads %+v", body, err, want)
			}
			return
		}
		if ref != nil || want.Task == nil {
			t.Fatalf("%q: accepted, encoding/json says %v", body, ref)
		}
		if m.Name != *want.Task || m.ID != want.ID || !bytes.Equal(m.Args, want.Args) || !bytes.Equal(m.Kwargs, want.Kwargs) {
			t.Fatalf("%q: got %+v, encoding/json has %+v", body, m, want)
		}
		if len(m.Headers) != len(want.Headers) {
			t.Fatalf("%q: got headers %v, encoding/json has %v", body, m.Headers, want.Headers)
		}
		for k, v := range want.Headers {
			if m.Headers[k] != v {
				t.Fatalf("%q: got headers %v, encoding/json has %v", body, m.Headers, want.Headers)
			}
		}
		roundTrip(t, codec.JSON{}, m)
	})
}

func FuzzDecodeMagne(f *testing.F) {
	addGolden(f)
	for _, s := range []string{
		`{"func": "magne_latency_bench", "args": []}`, `{"func":"a.<locals>.b","args":[{"x":"}"}]}`,
		`{"func":"a","FUNC":"b"}`, `[]`, `{"func":1}`, `{"args":[[[[[[`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := codec.Magne{}.Decode(&task.Raw{Body: body})
		if err != nil {
			if m != nil {
				t.Fatalf("%q: got a message and error %v", body, err)
			}
			return
		}
		var want struct {
			Func string
			Args json.RawMessage
		}
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatalf("%q: accepted, encoding/json says %v", body, err)
		}
		if m.Name != want.Func || !bytes.Equal(m.Args, want.Args) {
			t.Fatalf("%q: got %+v, encoding/json has %+v", body, m, want)
		}
		roundTrip(t, codec.Magne{}, m)
	})
}

// startsWith reports whether a value is absent or begins with c.
func startsWith(raw json.RawMessage, c byte) bool { return len(raw) == 0 || raw[0] == c }

// mayRefuse reports whether Decode is stricter than encoding/json about the
// body, for a reason that this test finds out by itself where it can.
func mayRefuse(body []byte, err error) bool {
	text := err.Error()
	switch {
	case strings.Contains(text, "invalid UTF-8"):
		return !utf8.Valid(body)
	case strings.Contains(text, "nested deeper"):
		return bytes.Count(body, []byte("["))+bytes.Count(body, []byte("{")) > codec.MaxDepth
	case strings.Contains(text, "got null"):
		return bytes.Contains(body, []byte("null"))
	}
	for _, reason := range []string{"key occurs twice", ": write it ", "want a task name", "want at most"} {
		if strings.Contains(text, reason) {
			return true
		}
	}
	return false
}

func roundTrip(t *testing.T, c task.Codec, m *task.Message) {
	t.Helper()
	r, err := c.Encode(m)
	if err != nil {
		t.Fatalf("%+v was decoded and cannot be encoded: %v", m, err)
	}
	again, err := c.Decode(r)
	if err != nil {
		t.Fatalf("%q was encoded and cannot be decoded: %v", r.Body, err)
	}
	if again.Name != m.Name || again.ID != m.ID || !bytes.Equal(again.Kwargs, m.Kwargs) || len(again.Headers) != len(m.Headers) {
		t.Fatalf("round trip: got %+v, want %+v", again, m)
	}
}
