package main

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// forms is the flag -o of the commands that show a running instance.
type forms struct {
	choice
	e *env
}

// addForms gives a command its own -o in the place of the general one.
func addForms(e *env, cmd *cobra.Command) {
	f := &forms{choice{words: []string{"table", "json", "yaml", "wide"}, word: "table"}, e}
	cmd.Flags().VarP(f, "output", "o", "form of the output: "+f.list())
	complete(cmd, "output", f.words)
}

// Set implements pflag.Value. "text" is what the other commands call a table, and
// wide is a table with more columns where there are more.
func (f *forms) Set(word string) error {
	if word == "text" {
		word = "table"
	}
	if err := f.choice.Set(word); err != nil {
		return err
	}
	f.e.output.word = word
	return nil
}

// asYAML writes v as block-style YAML with the names and the order of its JSON.
func asYAML(v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("write JSON: %w", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil { // JSON is YAML
		return "", fmt.Errorf("read JSON as YAML: %w", err)
	}
	plain(&doc)
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return "", fmt.Errorf("write YAML: %w", err)
	}
	return b.String(), nil
}

// plain takes away the braces and the quotes of JSON; the encoder quotes what
// needs it.
func plain(n *yaml.Node) {
	if len(n.Content) > 0 || n.Kind == yaml.ScalarNode {
		n.Style = 0
	}
	for _, c := range n.Content {
		plain(c)
	}
}
