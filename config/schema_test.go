package config_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/magne-actors/magne-actors/config"
)

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(config.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("magne.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("magne.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// value is the YAML text as a JSON value.
func value(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSchemaAcceptsTheGoodFiles(t *testing.T) {
	s := compileSchema(t)
	for name, text := range good(t) {
		if err := s.Validate(value(t, string(text))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSchemaRefuses: each line of testdata/bad.txt, put in the place of a part of
// a good file, is refused by the schema and by Parse.
func TestSchemaRefuses(t *testing.T) {
	const file = "version: 1\nbroker: {url: \"amqp://h/\"}\npools:\n  p: {POOL tasks: {t: {TASK}}}\n"
	put := strings.NewReplacer("POOL", "", "TASK", "builtin: echo").Replace(file)
	s := compileSchema(t)
	if err := s.Validate(value(t, put)); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("testdata/bad.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		where, what, found := strings.Cut(strings.TrimSpace(line), " ")
		if !found {
			continue
		}
		var text string
		switch where {
		case "file":
			text = put + what + "\n"
		case "pool":
			text = strings.NewReplacer("POOL", what+",", "TASK", "builtin: echo").Replace(file)
		case "task":
			text = strings.NewReplacer("POOL", "", "TASK", what).Replace(file)
		default:
			t.Fatalf("testdata/bad.txt: %q", line)
		}
		if err := s.Validate(value(t, text)); err == nil {
			t.Errorf("%s %s: the schema takes it", where, what)
		}
		if _, err := config.Parse(strings.NewReader(text), "x", nil); err == nil {
			t.Errorf("%s %s: Parse takes it", where, what)
		}
	}
}
