package codec_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/task"
	"github.com/magne-actors/magne-actors/task/codec"
)

func TestDecodeGolden(t *testing.T) {
	datadriven.RunTest(t, "testdata/decode.txt", func(t *testing.T, d *datadriven.TestData) string {
		c, err := codec.ByName(d.Cmd)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		m, err := c.Decode(&task.Raw{Body: []byte(d.Input)})
		if err != nil {
			return "error: " + err.Error() + "\n"
		}
		out := "task=" + m.Name
		if m.ID != "" {
			out += " id=" + m.ID
		}
		if m.Args != nil {
			out += " args=" + string(m.Args)
		}
		if m.Kwargs != nil {
			out += " kwargs=" + string(m.Kwargs)
		}
		if m.Headers != nil {
			out += fmt.Sprint(" headers=", m.Headers)
		}
		return out + "\n"
	})
}

// nested returns a json body whose deepest level is n, the envelope's being 1.
func nested(n int) string {
	return `{"task":"a","args":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `}`
}

func TestDecodeLimits(t *testing.T) {
	headers := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"h%d":""`, i)
		}
		return `{"task":"a","headers":{` + b.String()[1:] + `}}`
	}
	long := strings.Repeat("n", 255)
	for _, tt := range []struct {
		name, body string
		want       string // part of the error; empty: accepted
	}{
		{"whitespace only", " \r\n\t", "body: empty"},
		{"binary", "\x80\x04\x95\x00\x00", "invalid UTF-8 at byte 0"},
		{"invalid UTF-8 in a string", "{\"task\":\"a\",\"id\":\"\xff\"}", "invalid UTF-8 at byte 18"},
		{"byte order mark", "\ufeff{\"task\":\"a\"}", "not JSON"},
		{"raw line feed in a string", "{\"task\":\"a\n\"}", "not JSON"},
		{"depth at the limit", nested(codec.MaxDepth), ""},
		{"depth above the limit", nested(codec.MaxDepth + 1), "nested deeper than 64 levels at byte 82"},
		{"depth of a bomb", strings.Repeat("[", 1<<20), "nested deeper than 64 levels at byte 64"},
		{"depth outside of args", `{"x":` + strings.Repeat(`{"y":`, 64), "nested deeper"},
		{"brackets in strings are no depth", `{"task":"a","args":["` + strings.Repeat(`[{\"`, 100) + `"]}`, ""},
		{"longest name", `{"task":"` + long + `"}`, ""},
		{"name too long", `{"task":"` + long + `n"}`, "at most 255 bytes, got 256"},
		{"longest id", `{"task":"a","id":"` + long + `"}`, ""},
		{"id too long", `{"task":"a","id":"` + long + `n"}`, "id: want at most 255 bytes"},
		{"most headers", headers(128), ""},
		{"too many headers", headers(129), "headers: want at most 128"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := codec.JSON{}.Decode(&task.Raw{Body: []byte(tt.body)})
			if tt.want == "" {
				if err != nil {
					t.Fatalf("got error %v, want none", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// An error text ends up in logs and headers, so what it quotes must be short and
// printable.
func TestDecodeErrorsAreBounded(t *testing.T) {
	for _, body := range []string{
		`{"task":"` + strings.Repeat(`!\n`, 100) + `"}`,
		`{"task":"a","headers":{"` + strings.Repeat(`\n`, 5000) + `":1}}`,
	} {
		_, err := codec.JSON{}.Decode(&task.Raw{Body: []byte(body)})
		if err == nil || len(err.Error()) > 300 || strings.ContainsAny(err.Error(), "\n\r") {
			t.Errorf("got error %v, want a short one without line breaks", err)
		}
	}
}

func TestJSONContentType(t *testing.T) {
	for ct, ok := range map[string]bool{
		"":                                true,
		"application/json":                true,
		"Application/JSON; charset=utf-8": true,
		"application/problem+json":        true,
		"text/plain":                      true,
		"application/octet-stream":        true,
		"application/x-python-serialize":  false,
		"application/msgpack":             false,
		"text/xml":                        false,
		"\x00;;":                          false,
		"json":                            false,
	} {
		_, err := codec.JSON{}.Decode(&task.Raw{ContentType: ct, Body: []byte(`{"task":"a"}`)})
		if (err == nil) != ok {
			t.Errorf("content type %q: got error %v, want accepted=%v", ct, err, ok)
		}
		if _, err := (codec.Magne{}).Decode(&task.Raw{ContentType: ct, Body: []byte(`{"func":"a"}`)}); err != nil {
			t.Errorf("magne with content type %q: %v", ct, err)
		}
	}
}

func TestDecodeProperties(t *testing.T) {
	table := map[string]any{
		"trace": "amqp", "tenant": "t1", "x-magne-attempt": int32(2), "nil": nil, "bytes": []byte("b"),
		"x-death": []any{map[string]any{"queue": "q", "count": int64(1)}}, "t": map[string]any{"k": "v"},
	}
	body := `{"task":"a","headers":{"trace":"body"}}`
	m, err := codec.JSON{}.Decode(&task.Raw{MessageID: "m1", Headers: table, Body: []byte(body)})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"trace": "body", "tenant": "t1"}
	if m.ID != "m1" || !cmp.Equal(m.Headers, want) {
		t.Errorf("got id %q and headers %v, want m1 and %v", m.ID, m.Headers, want)
	}
	m, err = codec.JSON{}.Decode(&task.Raw{MessageID: "m1", Body: []byte(`{"task":"a","id":"b1"}`)})
	if err != nil || m.ID != "b1" {
		t.Errorf("got %v, %v; want the id of the body, b1", m, err)
	}
	m, err = codec.Magne{}.Decode(&task.Raw{Headers: table, Body: []byte(`{"func":"a"}`)})
	if err != nil || m.Headers["trace"] != "amqp" {
		t.Errorf("magne: got %v, %v; want the AMQP header trace", m, err)
	}
}

// A handler that appends to Args must not write over the rest of the body.
func TestDecodedSlicesAreCapped(t *testing.T) {
	body := []byte(`{"args":[1],"task":"a"}`)
	m, err := codec.JSON{}.Decode(&task.Raw{Body: body})
	if err != nil {
		t.Fatal(err)
	}
	_ = append(m.Args, "XXXX"...)
	if want := `{"args":[1],"task":"a"}`; string(body) != want {
		t.Errorf("got body %s, want %s", body, want)
	}
}

func TestByName(t *testing.T) {
	if got, want := codec.Names(), []string{"json", "magne"}; !slices.Equal(got, want) {
		t.Errorf("got names %v, want %v", got, want)
	}
	for _, name := range codec.Names() {
		if c, err := codec.ByName(name); err != nil || c.Name() != name {
			t.Errorf("ByName(%q): got %v, %v", name, c, err)
		}
	}
	_, err := codec.ByName("celery")
	if want := `codec: unknown codec "celery": want one of json, magne`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestEncodeBytes(t *testing.T) {
	r, err := codec.Magne{}.Encode(&task.Message{Name: "magne_latency_bench"})
	if err != nil {
		t.Fatal(err)
	}
	if want := (&task.Raw{Body: []byte(`{"func": "magne_latency_bench", "args": []}`)}); !cmp.Equal(r, want) {
		t.Errorf("got %+v, want %+v", r, want)
	}
	r, err = codec.JSON{}.Encode(&task.Message{Name: "a", ID: "<7>", Args: []byte(`["<&>"]`), Headers: map[string]string{"k": "v"}})
	if err != nil {
		t.Fatal(err)
	}
	want := &task.Raw{
		MessageID: "<7>", Type: "a", ContentType: "application/json",
		Body: []byte(`{"task":"a","id":"\u003c7\u003e","args":["<&>"],"headers":{"k":"v"}}`),
	}
	if !cmp.Equal(r, want) {
		t.Errorf("got %s, want %s", r.Body, want.Body)
	}
}

func TestEncodeRefuses(t *testing.T) {
	tooMany := make(map[string]string)
	for i := range 129 {
		tooMany[fmt.Sprint(i)] = ""
	}
	deep := []byte(strings.Repeat("[", codec.MaxDepth) + strings.Repeat("]", codec.MaxDepth))
	for _, tt := range []struct {
		m    task.Message
		want string
	}{
		{task.Message{}, "empty"},
		{task.Message{Name: "a b"}, "letters"},
		{task.Message{Name: "a", ID: strings.Repeat("x", 256)}, "id: want at most"},
		{task.Message{Name: "a", ID: "\xff"}, "id: invalid UTF-8"},
		{task.Message{Name: "a", Args: []byte(`{}`)}, "args: want an array"},
		{task.Message{Name: "a", Args: []byte(`[],"id":"x"`)}, "args: not JSON"},
		{task.Message{Name: "a", Args: deep}, "args: nested deeper"},
		{task.Message{Name: "a", Kwargs: []byte(`[]`)}, "kwargs: want an object"},
		{task.Message{Name: "a", Headers: tooMany}, "headers: want at most 128"},
		{task.Message{Name: "a", Headers: map[string]string{"k": "\xff"}}, `headers["k"]: invalid UTF-8`},
	} {
		for _, name := range codec.Names() {
			c, err := codec.ByName(name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Encode(&tt.m); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: got error %v, want one with %q", name, err, tt.want)
			}
		}
	}
	_, err := codec.Magne{}.Encode(&task.Message{Name: "a", Kwargs: []byte(`{"k":1}`)})
	if err == nil || !strings.Contains(err.Error(), "named arguments") {
		t.Errorf("magne with kwargs: got error %v", err)
	}
	if _, err = (codec.Magne{}).Encode(&task.Message{Name: "a", Kwargs: []byte(` { } `)}); err != nil {
		t.Errorf("magne with empty kwargs: got error %v", err)
	}
}

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "_a1": true, "Mod.func": true, "ns:job/sub-1": true, "f.<locals>.g": true,
		"": false, "-a": false, ".": false, "a\n": false, "größe": false, "a%2f": false,
	} {
		if err := codec.CheckName(name); (err == nil) != ok {
			t.Errorf("CheckName(%q): got %v, want valid=%v", name, err, ok)
		}
	}
}

func TestMagneQueueName(t *testing.T) {
	if got, want := codec.MagneQueueName("magne_latency_bench"), "MAGNE_LATENCY_BENCH"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// message draws a message that both formats can carry.
func message(t *rapid.T, kwargs bool) *task.Message {
	m := &task.Message{
		Name: rapid.StringMatching(`[A-Za-z_<][A-Za-z0-9_.:/<>-]{0,30}`).Draw(t, "name"),
		ID:   rapid.StringN(0, 60, 255).Draw(t, "id"),
		Args: []byte(rapid.SampledFrom([]string{
			"", "[]", `[ 1 , "]}\\\"" ]`, `[{"a":[null,true]},-1.5e9,"é<&>"]`, `[[[[]]]]`,
		}).Draw(t, "args")),
		Headers: rapid.MapOfN(rapid.String(), rapid.String(), 0, 5).Draw(t, "headers"),
	}
	if kwargs {
		m.Kwargs = []byte(rapid.SampledFrom([]string{"", "{}", `{"a": {"b": "}"}, "task": 1}`}).Draw(t, "kwargs"))
	}
	return m
}

func TestRoundTrip(t *testing.T) {
	for _, c := range []task.Codec{codec.JSON{}, codec.Magne{}} {
		t.Run(c.Name(), rapid.MakeCheck(func(t *rapid.T) {
			want := message(t, c.Name() == "json")
			r, err := c.Encode(want)
			if err != nil {
				t.Fatalf("encode %+v: %v", want, err)
			}
			got, err := c.Decode(r)
			if err != nil {
				t.Fatalf("decode %s: %v", r.Body, err)
			}
			if len(want.Args) == 0 && c.Name() == "magne" {
				want.Args = []byte("[]") // the format always has args
			}
			if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
				t.Fatalf("round trip through %s (-want +got):\n%s", r.Body, d)
			}
		}))
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, bb := range []struct{ name, codec, body string }{
		{"magne", "magne", `{"func": "magne_latency_bench", "args": []}`},
		{"json100", "json", `{"task":"img.resize","id":"0190-7f3a","args":["a/b/c.png",640,480],"kwargs":{"fmt":"webp","q":80}}`},
		{"json10k", "json", `{"task":"img.resize","args":["` + strings.Repeat("x", 10_000) + `"]}`},
		{"json1M", "json", `{"task":"img.resize","args":["` + strings.Repeat("x", 1<<20-40) + `"]}`},
		{"json1M-numbers", "json", `{"task":"img.resize","args":[` + strings.Repeat("12345678,", (1<<20-40)/9) + `0]}`},
	} {
		b.Run(bb.name, func(b *testing.B) {
			c, err := codec.ByName(bb.codec)
			if err != nil {
				b.Fatal(err)
			}
			r := &task.Raw{Body: []byte(bb.body)}
			b.SetBytes(int64(len(bb.body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Decode(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
