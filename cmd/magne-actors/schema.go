package main

import (
	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/config"
)

func newSchemaCmd(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of magne.yaml, for editors",
		Long: "schema prints the JSON Schema (draft 2020-12) of magne.yaml; with -o json the same.\n" +
			"The YAML language server reads it when the file begins with\n" +
			"  # yaml-language-server: $schema=magne.schema.json",
		Example: "  magne-actors schema > magne.schema.json",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := e.stdout.Write(config.Schema())
			return err
		},
	}
}
