package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestGenerated: what is committed is what the generator writes.
func TestGenerated(t *testing.T) {
	want, err := os.ReadFile(filepath.Join("..", "methods_gen.go"))
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "methods_gen.go")
	if err := run(name); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("methods_gen.go is out of date: go generate ./broker/embedded/internal/wire")
	}
}

func TestParseNotXML(t *testing.T) {
	if _, err := parse([]byte("<amqp><class")); err == nil {
		t.Error("half an element was accepted")
	}
}
