package task_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/task"
)

type inner struct{ K int }

type mixed struct {
	Path   string `json:"p"`
	hidden int    //nolint:unused // to show that it is no argument
	Skip   int    `json:"-"`
	Width  int8
	inner
	Opts *inner
	Tags []string
}

// call runs a Func of A with the arguments, and returns what the function got,
// in Go syntax, or the error.
func call[A any](args, kwargs string) string {
	var got string
	err := task.Func(func(_ context.Context, a A) error {
		got = fmt.Sprintf("%+v", a)
		if b, err := json.Marshal(a); err == nil {
			got = string(b)
		}
		return nil
	}).Handle(context.Background(), &task.Message{Name: "t", Args: []byte(args), Kwargs: []byte(kwargs)})
	if err == nil {
		return got
	}
	if o := task.OutcomeOf(err); o.Kind != task.KindDiscard {
		return fmt.Sprintf("%v, and not a discard but %v", err, o.Kind)
	}
	return strings.TrimPrefix(err.Error(), `task "t": `)
}

func TestFunc(t *testing.T) {
	for _, tt := range []struct {
		name         string
		call         func(args, kwargs string) string
		args, kwargs string
		want         string
	}{
		{"struct, positional", call[mixed], `["a",3,{"K":1},["x"]]`, "", `{"p":"a","Width":3,"K":0,"Opts":{"K":1},"Tags":["x"]}`},
		{"struct, missing at the end", call[mixed], `["a"]`, "", `{"p":"a","Width":0,"K":0,"Opts":null,"Tags":null}`},
		{"struct, no arguments", call[mixed], "", "", `{"p":"","Width":0,"K":0,"Opts":null,"Tags":null}`},
		{"struct, null", call[mixed], `[null,null,null]`, `{}`, `{"p":"","Width":0,"K":0,"Opts":null,"Tags":null}`},
		{"struct, one object", call[mixed], `[ {"p":"a","K":2} ]`, "", `{"p":"a","Width":0,"K":2,"Opts":null,"Tags":null}`},
		{"struct, named", call[mixed], `[]`, `{"p":"a","width":9}`, `{"p":"a","Width":9,"K":0,"Opts":null,"Tags":null}`},
		{"pointer to struct", call[*inner], `[5]`, "", `{"K":5}`},
		{"pointer to pointer", call[**inner], ``, `{"K":5}`, `{"K":5}`},
		{"too many", call[mixed], `["a",1,null,null,5]`, "", "wants at most 4 arguments, got 5"},
		{"wrong type", call[mixed], `["a","b"]`, "", "argument 2 (Width): want int8, got string"},
		{"wrong type inside", call[mixed], `["a",1,{"K":"x"}]`, "", `argument 3 (Opts), field "K": want int, got string`},
		{"out of range", call[mixed], `["a",300]`, "", "argument 2 (Width): want int8, got number 300"},
		{"wrong named type", call[mixed], ``, `{"Width":true}`, `named arguments, field "Width": want int8, got bool`},
		{"wrong type in the object", call[mixed], `[{"p":1}]`, ``, `argument 1, field "p": want string, got number`},
		{"unknown name", call[mixed], ``, `{"P":"a","colour":1}`, `named arguments: unknown field "colour": task_test.mixed does not have it`},
		{"unknown name in the object", call[mixed], `[{"colour":1}]`, ``, `argument 1: unknown field "colour": task_test.mixed does not have it`},
		{"hidden field", call[mixed], ``, `{"hidden":1}`, `named arguments: unknown field "hidden": task_test.mixed does not have it`},
		{"both", call[mixed], `["a"]`, `{"Width":1}`, "wants positional or named arguments, got 1 positional and named ones"},
		{"empty struct", call[struct{}], `[]`, `{ }`, `{}`},
		{"empty struct, positional", call[struct{}], `[{}]`, ``, "takes no arguments, got 1"},
		{"empty struct, named", call[struct{}], ``, `{"a":1}`, "takes no arguments, got named ones"},

		{"slice", call[[]int], `[1,2,3]`, "", `[1,2,3]`},
		{"slice, none", call[[]int], ``, "", `[]`},
		{"slice of any", call[[]any], `["a",null,{"b":1}]`, "", `["a",null,{"b":1}]`},
		{"slice, wrong type", call[[]int], `[1,"2"]`, "", "argument 2: want int, got string"},
		{"slice, named", call[[]int], ``, `{"a":1}`, "wants a positional argument ([]int), got named ones"},
		{"array", call[[2]string], `["a","b"]`, "", `["a","b"]`},
		{"array, too few", call[[2]string], `["a"]`, "", "wants exactly 2 arguments, got 1"},
		{"array, too many", call[[2]string], `["a","b","c"]`, "", "wants exactly 2 arguments, got 3"},

		{"scalar", call[string], `["a"]`, "", `"a"`},
		{"scalar, none", call[string], `[]`, "", "wants exactly 1 argument (string), got 0"},
		{"scalar, two", call[int], `[1,2]`, "", "wants exactly 1 argument (int), got 2"},
		{"scalar, wrong type", call[int], `["1"]`, "", "argument 1: want int, got string"},
		{"scalar, fraction", call[int], `[1.5]`, "", "argument 1: want int, got number 1.5"},
		{"scalar, named", call[int], `[1]`, `{"a":1}`, "wants a positional argument (int), got named ones"},
		{"pointer to scalar", call[*int], `[7]`, "", `7`},
		{"any", call[any], `[{"a":[1]}]`, "", `{"a":[1]}`},
		{"raw", call[json.RawMessage], `[{"a":[1]}]`, "", `{"a":[1]}`},
		{"bytes", call[[]byte], `["aGk="]`, "", `"aGk="`},
		{"time", call[time.Time], `["2026-01-02T03:04:05Z"]`, "", `"2026-01-02T03:04:05Z"`},
		{"pointer to time", call[*time.Time], `[null]`, "", `null`},
		{
			"time, wrong text", call[time.Time], `["x"]`, "",
			`argument 1: want time.Time, got string: parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006"`,
		},
		{"map, named", call[map[string]int], `[]`, `{"a":1}`, `{"a":1}`},
		{"map, one object", call[map[string]int], `[{"a":1}]`, ``, `{"a":1}`},
		{"map, wrong type", call[map[string]int], ``, `{"a":"x"}`, `named arguments: want int, got string`},
		{"map, both", call[map[string]int], `[1]`, `{"a":1}`, "wants positional or named arguments, got 1 positional and named ones"},

		// Messages that no codec makes.
		{"args no JSON", call[int], `[1`, "", "args are not a JSON array: unexpected end of JSON input"},
		{"args no array", call[int], `{}`, "", "args are not a JSON array: json: cannot unmarshal object into Go value of type []json.RawMessage"},
		{"kwargs no object", call[inner], ``, "[1]", "named arguments: want task_test.inner, got array"},
		{"kwargs with a tail", call[inner], ``, `{"K":1} {"K":2}`, "named arguments: more than one JSON value"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.call(tt.args, tt.kwargs); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestFuncReturnsTheFunctionsError(t *testing.T) {
	want := task.Retry(nil, time.Second)
	h := task.Func(func(context.Context, struct{}) error { return want })
	if err := h.Handle(t.Context(), &task.Message{Name: "t"}); err != want { //nolint:errorlint // the very error
		t.Errorf("got %v, want %v", err, want)
	}
}

// What encoding/json writes of a list, Func reads back as the same elements, and
// the positional and the named way fill a struct alike.
func TestFuncRoundTrip(t *testing.T) {
	type args struct {
		S string
		N int64
		F float64
		L []uint16
	}
	rapid.Check(t, func(t *rapid.T) {
		want := args{
			S: rapid.String().Draw(t, "s"),
			N: rapid.Int64().Draw(t, "n"),
			F: rapid.Float64().Draw(t, "f"),
			L: rapid.SliceOf(rapid.Uint16()).Draw(t, "l"),
		}
		positional, err := json.Marshal([]any{want.S, want.N, want.F, want.L})
		if err != nil {
			t.Fatal(err)
		}
		named, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		p, n := call[args](string(positional), ""), call[args]("", string(named))
		if p != string(named) || n != string(named) {
			t.Fatalf("got %s by position and %s by name, want %s", p, n, named)
		}
	})
}
