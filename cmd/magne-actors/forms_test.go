package main

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// TestYAMLIsTheJSON: it has the names, the order and the types of the JSON, also
// where a string looks like something else, and no braces but those of what is
// empty.
func TestYAMLIsTheJSON(t *testing.T) {
	v := struct {
		Word   string         `json:"z_word"`
		Flag   string         `json:"flag"`
		Number string         `json:"number"`
		Lines  string         `json:"lines"`
		Real   bool           `json:"real"`
		Large  int64          `json:"large"`
		List   []string       `json:"list"`
		None   []string       `json:"none"`
		Empty  map[string]any `json:"empty"`
		Gone   *int           `json:"gone,omitempty"`
	}{
		Word: "up", Flag: "true", Number: "0x10", Lines: "a: b\n\tc # d\n", Real: true, Large: 1 << 62,
		List: []string{"- x", "\x1b[2J"}, None: []string{}, Empty: map[string]any{},
	}
	got, err := asYAML(v)
	if err != nil {
		t.Fatal(err)
	}
	const want = `z_word: up
flag: "true"
number: "0x10"
lines: |
  a: b
  	c # d
real: true
large: 4611686018427387904
list:
  - '- x'
  - "\e[2J"
none: []
empty: {}
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	var back any
	if err := yaml.Unmarshal([]byte(got), &back); err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(v)
	b, _ := json.Marshal(back)
	var x, y any
	_, _ = json.Unmarshal(a, &x), json.Unmarshal(b, &y)
	if diff := cmp.Diff(x, y); diff != "" {
		t.Errorf("read back (-JSON +YAML):\n%s", diff)
	}
}
