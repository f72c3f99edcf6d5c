package health_test

import (
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/magne-actors/magne-actors/internal/health"
)

// schema is the part of a schema that is compared.
type schema struct {
	Properties map[string]schema
	Items      *schema
	Enum       []string
}

// TestOpenAPIHasTheReport: the file describes the fields and the states of a Report.
func TestOpenAPIHasTheReport(t *testing.T) {
	b, err := os.ReadFile("../../docs/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Components struct{ Schemas map[string]yaml.Node }
	}
	if err := yaml.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	var report schema
	node := file.Components.Schemas["Readiness"]
	if err := node.Decode(&report); err != nil {
		t.Fatal(err)
	}
	pool := report.Properties["pools"].Items
	for _, c := range []struct {
		typ  reflect.Type
		file schema
	}{{reflect.TypeFor[health.Report](), report}, {reflect.TypeFor[health.Pool](), *pool}} {
		var want []string
		for _, f := range reflect.VisibleFields(c.typ) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			want = append(want, name)
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, slices.Sorted(maps.Keys(c.file.Properties))); diff != "" {
			t.Errorf("%v (-Go +openapi.yaml):\n%s", c.typ, diff)
		}
	}
	src, err := os.ReadFile("report.go")
	if err != nil {
		t.Fatal(err)
	}
	var states []string
	for _, m := range regexp.MustCompile(`(?m)^\t\w+ +State = "(\w+)"`).FindAllStringSubmatch(string(src), -1) {
		states = append(states, m[1])
	}
	if diff := cmp.Diff(states, pool.Properties["state"].Enum); diff != "" {
		t.Errorf("states (-Go +openapi.yaml):\n%s", diff)
	}
}
