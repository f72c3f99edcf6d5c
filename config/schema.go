package config

import (
	"encoding/json"
	"strconv"
)

// schema is a JSON Schema; the order of the fields is that of the output.
type schema struct {
	Schema               string             `json:"$schema,omitempty"`
	ID                   string             `json:"$id,omitempty"`
	Title                string             `json:"title,omitempty"`
	Description          string             `json:"description,omitempty"`
	Type                 any                `json:"type,omitempty"`
	Default              any                `json:"default,omitempty"`
	Enum                 []string           `json:"enum,omitempty"`
	Pattern              string             `json:"pattern,omitempty"`
	Minimum              *float64           `json:"minimum,omitempty"`
	Maximum              *float64           `json:"maximum,omitempty"`
	MinProperties        int                `json:"minProperties,omitempty"`
	Required             []string           `json:"required,omitempty"`
	AnyOf                []*schema          `json:"anyOf,omitempty"`
	OneOf                []*schema          `json:"oneOf,omitempty"`
	Properties           map[string]*schema `json:"properties,omitempty"`
	PatternProperties    map[string]*schema `json:"patternProperties,omitempty"`
	Items                *schema            `json:"items,omitempty"`
	MinItems             int                `json:"minItems,omitempty"`
	AdditionalProperties *bool              `json:"additionalProperties,omitempty"`
}

// Schema returns the JSON Schema (draft 2020-12) of magne.yaml, for editors.
// What it accepts Parse can still refuse: a schema cannot compare values, and
// it does not know what the environment gives.
func Schema() []byte {
	s := newTree().schema()
	s.Schema = "https://json-schema.org/draft/2020-12/schema"
	s.ID = "https://github.com/magne-actors/magne-actors/magne.schema.json"
	s.Title = "magne.yaml"
	s.Description = "Configuration of magne-actors, version 1."
	s.Required = []string{"version", "pools"}
	s.PatternProperties = map[string]*schema{"^x-": {Description: "Ignored: a place for YAML anchors."}}
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic("config: schema of strings and numbers: " + err.Error()) // cannot happen: no value in it fails to marshal
	}
	return append(b, '\n')
}

// schema is that of the value of n.
func (n *node) schema() *schema {
	s := &schema{Description: n.doc}
	switch n.kind {
	case section:
		n.sectionSchema(s)
	case names:
		s.Type = []string{"object", "null"}
		s.PatternProperties = map[string]*schema{n.each.word: n.each.schema()}
		s.AdditionalProperties = new(bool)
		if n.required {
			s.Type, s.MinProperties = "object", 1
		}
	default:
		n.valueSchema(s)
	}
	return s
}

func (n *node) sectionSchema(s *schema) {
	s.Type = []string{"object", "null"} // null: all lines below it are commented out
	s.Properties = map[string]*schema{}
	s.AdditionalProperties = new(bool)
	for _, c := range n.nodes {
		if c.absent != "" {
			continue
		}
		s.Properties[c.name] = c.schema()
	}
	switch n.path {
	case "pools.<pool>.tasks.<task>":
		s.Type = "object"
		s.OneOf = []*schema{{Required: []string{"builtin"}}, {Required: []string{"http"}}}
	case "pools.<pool>.tasks.<task>.http":
		s.Type, s.Required = "object", []string{"url"}
	case "pools.<pool>.process":
		s.Type, s.Required = "object", []string{"command"}
	case "pools.<pool>.process.secrets.<variable>":
		s.Type = "object"
		s.OneOf = []*schema{{Required: []string{"file"}}, {Required: []string{"env"}}}
	case "pools.<pool>.size":
		s.Type, s.Required = "object", []string{"max"}
	}
	if n.alone != "" {
		inPlace := *s
		inPlace.Description = ""
		*s = schema{Description: s.Description, AnyOf: []*schema{&inPlace, n.child(n.alone).schema()}}
	}
}

// interpolated is what may stand in place of any value.
const interpolated = `\$\{.+\}`

func (n *node) valueSchema(s *schema) {
	var v schema
	switch n.kind {
	case whole:
		v.Type = "integer"
		v.Minimum, v.Maximum = limit(n.lo), limit(n.hi)
	case number:
		v.Type = "number"
		v.Minimum, v.Maximum = limit(n.lo), limit(n.hi)
	case duration:
		v.Type, v.Pattern = "string", `^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))*$|^0$`
	case size:
		v.Type, v.Pattern = []string{"integer", "string"}, `^[0-9]+ *(B|KiB|MiB|GiB|kB|MB|GB)?$`
	case list:
		// Elements are taken as they are written, so numbers do as well.
		v.Type, v.Items = "array", &schema{Type: []string{"string", "number", "boolean"}}
		if n.required {
			v.MinItems = 1
		}
	case boolean:
		v.Type = "boolean"
	case percent:
		v.Type, v.Pattern = "string", `^[0-9]+%$`
	case rate:
		v.Type, v.Pattern = "string", `^[0-9]+/[smh]$`
	default:
		v.Type, v.Enum, v.Pattern = "string", n.enum, n.pattern
	}
	s.Default = n.defaultJSON()
	s.AnyOf = []*schema{&v}
	if n.words != nil {
		s.AnyOf = append(s.AnyOf, &schema{Type: "string", Enum: sortedNames(n.words)})
	}
	if n.kind != list {
		s.AnyOf = append(s.AnyOf, &schema{Type: "string", Pattern: interpolated})
	}
}

// defaultJSON is the default as the file would have it.
func (n *node) defaultJSON() any {
	if n.def == "" {
		return nil
	}
	switch n.kind {
	case whole, number, boolean:
		return json.RawMessage(n.def)
	case list:
		items, _ := parseList(&n.key, scalar{text: n.def}) // a test parses every default
		return items
	default:
		return n.def
	}
}

func limit(text string) *float64 {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil
	}
	return &f
}
