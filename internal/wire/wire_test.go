package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/internal/wire"
)

// TestGolden holds every sentence of the protocol that is about frames and their
// order against the texts in testdata/golden.
func TestGolden(t *testing.T) {
	datadriven.Walk(t, "testdata/golden", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "read":
				var l wire.Limits
				d.MaybeScanArgs(t, "max-header", &l.MaxHeader)
				d.MaybeScanArgs(t, "max-body", &l.MaxBody)
				input := d.Input + "\n"
				if d.HasArg("no-lf") {
					input = d.Input
				}
				return readAll(wire.NewReader(strings.NewReader(input), l))
			case "each":
				return each(d.Input)
			case "session":
				return converse(d.Input)
			case "hello":
				var tasks []string
				for _, arg := range d.CmdArgs {
					tasks = arg.Vals
				}
				f := mustRead(t, d.Input)
				return fmt.Sprintln(wire.CheckHello(&f, tasks))
			}
			t.Fatalf("unknown command %q", d.Cmd)
			return ""
		})
	})
}

func readAll(r *wire.Reader) string {
	var out strings.Builder
	for {
		f, err := r.Next()
		if err != nil {
			fmt.Fprintf(&out, "error: %v\n", err)
			return out.String()
		}
		out.WriteString(show(&f) + "\n")
	}
}

// each reads every line as the only one and shows its error.
func each(input string) string {
	var out strings.Builder
	for line := range strings.Lines(input + "\n") {
		if f, err := wire.NewReader(strings.NewReader(line), wire.Limits{}).Next(); err != nil {
			fmt.Fprintln(&out, err)
		} else {
			fmt.Fprintln(&out, "no error:", show(&f))
		}
	}
	return out.String()
}

// converse shows what a Session makes of a worker's headers, and of the
// supervisor's acts between them.
func converse(input string) string {
	var out strings.Builder
	var s wire.Session
	for line := range strings.Lines(input + "\n") {
		var id uint64
		switch {
		case line == "issue\n":
			fmt.Fprintf(&out, "issue: %d, open %d\n", s.Issue(), s.Open())
			continue
		case strings.HasPrefix(line, "abandon"):
			fmt.Sscanf(line, "abandon %d", &id)
			fmt.Fprintf(&out, "abandon: %v, open %d\n", s.Abandon(id), s.Open())
			continue
		}
		f, err := wire.NewReader(strings.NewReader(line), wire.Limits{}).Next()
		if err != nil {
			return err.Error()
		}
		m, err := s.Receive(&f)
		if err != nil {
			fmt.Fprintf(&out, "%s: error: %v\n", f.Type, err)
			return out.String()
		}
		fmt.Fprintf(&out, "%s: %v\n", f.Type, m)
	}
	return out.String()
}

func mustRead(t *testing.T, header string) wire.Frame {
	t.Helper()
	f, err := wire.NewReader(strings.NewReader(header+"\n"), wire.Limits{}).Next()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// show prints the fields of a frame that are not zero.
func show(f *wire.Frame) string {
	var out strings.Builder
	out.WriteString(string(f.Type))
	v := reflect.ValueOf(*f)
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if v.Field(i).IsZero() || name == "Type" {
			continue
		}
		switch x := v.Field(i).Interface().(type) {
		case string:
			fmt.Fprintf(&out, " %s=%q", name, x)
		case []byte:
			fmt.Fprintf(&out, " %s=%q", name, x)
		default:
			if name == "Fields" {
				x = string(f.Fields)
			}
			fmt.Fprintf(&out, " %s=%v", name, x)
		}
	}
	return out.String()
}

// frames draws frames with the fields that their type has.
func frames() *rapid.Generator[wire.Frame] {
	text := rapid.String()
	texts := rapid.SliceOf(text)
	id := rapid.Uint64Range(1, 1<<53-1)
	count := rapid.IntRange(0, 1<<53-1)
	millis := rapid.Map(rapid.Int64Range(0, 1<<40), func(n int64) time.Duration { return time.Duration(n) * time.Millisecond })
	body := rapid.SliceOf(rapid.Byte())
	return rapid.Custom(func(t *rapid.T) wire.Frame {
		f := wire.Frame{Type: rapid.SampledFrom([]wire.Type{
			wire.Welcome, wire.Task, wire.Cancel, wire.Ping, wire.Drain, wire.Step, wire.Hello, wire.OK, wire.Error,
			wire.Retry, wire.Progress, wire.Beat, wire.Log, wire.Pong, wire.Bye, "shiny",
		}).Draw(t, "type")}
		switch f.Type {
		case wire.Welcome:
			f.Proto, f.Slot, f.Beat = count.Draw(t, "proto")+1, text.Draw(t, "slot"), millis.Draw(t, "beat")
			f.Proto = min(f.Proto, 1<<53-1)
			f.MaxHeader, f.MaxBody, f.Concurrency = count.Draw(t, "h"), count.Draw(t, "b"), max(1, count.Draw(t, "c"))
		case wire.Task:
			f.ID, f.Name, f.Attempt, f.Deadline = id.Draw(t, "id"), text.Draw(t, "name"), count.Draw(t, "a"), millis.Draw(t, "d")
			f.ContentType, f.Body = text.Draw(t, "ct"), body.Draw(t, "body")
			f.Header = rapid.MapOf(text, text).Draw(t, "hdr")
		case wire.Cancel:
			f.ID, f.Reason = id.Draw(t, "id"), text.Draw(t, "reason")
		case wire.Ping, wire.Pong:
			f.N = id.Draw(t, "n") - 1
		case wire.Drain:
			f.Deadline = millis.Draw(t, "d")
		case wire.Step:
			f.Message = text.Draw(t, "msg")
		case wire.Hello:
			f.Proto, f.Tasks, f.Concurrency = count.Draw(t, "proto"), texts.Draw(t, "tasks"), max(1, count.Draw(t, "c"))
			f.Caps, f.SDK, f.PID = texts.Draw(t, "caps"), text.Draw(t, "sdk"), count.Draw(t, "pid")
		case wire.OK:
			f.ID, f.Body = id.Draw(t, "id"), body.Draw(t, "body")
		case wire.Error:
			f.ID, f.Kind, f.Message = id.Draw(t, "id"), text.Draw(t, "kind"), text.Draw(t, "msg")
			f.Permanent, f.Body = rapid.Bool().Draw(t, "permanent"), body.Draw(t, "body")
		case wire.Retry:
			f.ID, f.After, f.Message = id.Draw(t, "id"), millis.Draw(t, "after"), text.Draw(t, "msg")
		case wire.Progress:
			f.ID, f.Percent, f.Message = id.Draw(t, "id"), rapid.Float64().Draw(t, "pct"), text.Draw(t, "msg")
		case wire.Log:
			f.ID, f.Level, f.Message = id.Draw(t, "id")-1, text.Draw(t, "level"), text.Draw(t, "msg")
			f.Fields = []byte(rapid.SampledFrom([]string{"", `{}`, `{"a":[1,"}"]}`}).Draw(t, "f"))
		case wire.Bye:
			f.Reason = text.Draw(t, "reason")
		default:
		}
		return f
	})
}

// equal compares frames as the protocol does: what is empty is absent.
func equal(a, b wire.Frame) string {
	return cmp.Diff(a, b, cmp.FilterValues(func(x, y any) bool { return empty(x) && empty(y) }, cmp.Ignore()))
}

func empty(x any) bool {
	v := reflect.ValueOf(x)
	return (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0
}

// TestRoundTrip: what a Writer writes, a Reader reads.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sent := rapid.SliceOfN(frames(), 1, 5).Draw(t, "frames")
		var pipe bytes.Buffer
		w := wire.NewWriter(&pipe, wire.Limits{})
		for i := range sent {
			if err := w.Write(&sent[i]); err != nil {
				t.Fatal(err)
			}
		}
		var in io.Reader = &pipe
		if rapid.Bool().Draw(t, "byte by byte") {
			in = iotest.OneByteReader(in)
		}
		r := wire.NewReader(in, wire.Limits{})
		for _, want := range sent {
			got, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			if diff := equal(want, got); diff != "" {
				t.Fatalf("(-sent +read):\n%s", diff)
			}
		}
		if _, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Fatalf("after the last frame: %v, want EOF", err)
		}
	})
}

// TestLargeBody crosses every buffer.
func TestLargeBody(t *testing.T) {
	for _, n := range []int{1, 16 << 10, 16<<10 + 1, 64 << 10, 64<<10 + 1, 3 << 20, 16 << 20} {
		sent := wire.Frame{Type: wire.OK, ID: 1, Body: bytes.Repeat([]byte("\n{0}"), n/4+1)[:n]}
		var pipe bytes.Buffer
		if err := wire.NewWriter(&pipe, wire.Limits{}).Write(&sent); err != nil {
			t.Fatal(err)
		}
		got, err := wire.NewReader(&pipe, wire.Limits{}).Next()
		if err != nil || !bytes.Equal(got.Body, sent.Body) {
			t.Errorf("%d bytes: got %d and %v", n, len(got.Body), err)
		}
	}
}

// TestTooLarge: a frame over the limits is refused before a byte is written, and
// the Writer goes on.
func TestTooLarge(t *testing.T) {
	var pipe bytes.Buffer
	w := wire.NewWriter(&pipe, wire.Limits{MaxHeader: 40, MaxBody: 3})
	for _, f := range []wire.Frame{
		{Type: wire.Step, Message: strings.Repeat("x", 40)},
		{Type: wire.OK, ID: 1, Body: []byte("abcd")},
	} {
		if err := w.Write(&f); !errors.Is(err, wire.ErrTooLarge) {
			t.Errorf("%s: got %v, want ErrTooLarge", f.Type, err)
		}
	}
	if err := w.Write(&wire.Frame{Type: wire.OK, ID: 1, Body: []byte("abc")}); err != nil {
		t.Error(err)
	}
	if want := "{\"t\":\"ok\",\"id\":1,\"len\":3}\nabc"; pipe.String() != want {
		t.Errorf("got %q, want %q", pipe.String(), want)
	}
}

// TestPipeErrors: an error of the pipe is passed on, and final.
func TestPipeErrors(t *testing.T) {
	broken := errors.New("broken")
	for _, sent := range []string{"", `{"t":`, `{"t":"ok","id":1,"len":9}` + "\n123"} {
		r := wire.NewReader(io.MultiReader(strings.NewReader(sent), iotest.ErrReader(broken)), wire.Limits{})
		for range 2 {
			if _, err := r.Next(); !errors.Is(err, broken) {
				t.Errorf("read after %q: got %v, want %v", sent, err, broken)
			}
		}
	}
	failing := &failingWriter{err: broken}
	w := wire.NewWriter(failing, wire.Limits{})
	for range 2 {
		if err := w.Write(&wire.Frame{Type: wire.Ping}); !errors.Is(err, broken) {
			t.Errorf("write: got %v, want %v", err, broken)
		}
	}
	if failing.writes != 1 {
		t.Errorf("%d writes after an error, want 1 in all", failing.writes)
	}
}

type failingWriter struct {
	err    error
	writes int
}

func (w *failingWriter) Write([]byte) (int, error) {
	w.writes++
	return 0, w.err
}

// TestAnnouncedBody: a body is held only as it arrives.
func TestAnnouncedBody(t *testing.T) {
	const text = `{"t":"ok","id":1,"len":16000000}` + "\nx"
	result := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			_, err := wire.NewReader(strings.NewReader(text), wire.Limits{}).Next()
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				b.Fatal(err)
			}
		}
	})
	if got := result.AllocedBytesPerOp(); got > 80<<10 {
		t.Errorf("a header that announces 16 MB costs %d bytes, want at most 80 KiB", got)
	}
}

func TestAppendArgs(t *testing.T) {
	for want, in := range map[string][2]string{
		`{}`:                            {},
		`{"args":[1]}`:                  {`[1]`},
		`{"kwargs":{"a":1}}`:            {"", `{"a":1}`},
		`{"args":[1],"kwargs":{"a":1}}`: {`[1]`, `{"a":1}`},
	} {
		if got := string(wire.AppendArgs(nil, []byte(in[0]), []byte(in[1]))); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestOrder: what sdk/sh relies on.
func TestOrder(t *testing.T) {
	for want, f := range map[string]wire.Frame{
		`{"t":"task","id":7,"name":"n","attempt":2,"deadline_ms":3,"ct":"c","hdr":{"a":"b","id":"9"},"len":1}`: {
			Type: wire.Task, ID: 7, Name: "n", Attempt: 2, Deadline: 2001 * time.Microsecond, ContentType: "c",
			Header: map[string]string{"id": "9", "a": "b"}, Body: []byte("x"),
		},
		`{"t":"ping","n":5}`:               {Type: wire.Ping, N: 5},
		`{"t":"drain","deadline_ms":1000}`: {Type: wire.Drain, Deadline: time.Second},
	} {
		if got := string(wire.AppendHeader(nil, &f)); got != want+"\n" {
			t.Errorf("got %s want %s", got, want)
		}
	}
}
