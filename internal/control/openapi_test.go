package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/magne-actors/magne-actors/supervisor"
)

// operation is what the tests read of docs/openapi.yaml.
type operation struct {
	Responses map[string]any
}

type document struct {
	Paths      map[string]map[string]operation
	Components struct {
		Schemas map[string]struct {
			Required   []string
			Properties map[string]any
		}
	}
}

// openAPI reads the file, into a document and for validation.
func openAPI(t *testing.T) (doc document, compiler *jsonschema.Compiler) {
	t.Helper()
	text, err := os.ReadFile("../../docs/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	var raw any
	if err := yaml.Unmarshal(text, &raw); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	compiler = jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("openapi.json", parsed); err != nil {
		t.Fatal(err)
	}
	return doc, compiler
}

// TestOpenAPIHasEveryRoute: the file names the routes that there are, Go's
// profiles aside, and no others.
func TestOpenAPIHasEveryRoute(t *testing.T) {
	doc, _ := openAPI(t)
	var want, got []string
	for _, r := range routes(nil, Source{}) {
		if !strings.HasPrefix(r.path, "/debug/") {
			want = append(want, strings.ToLower(r.method)+" "+strings.ReplaceAll(r.path, "...}", "}"))
		}
	}
	for path, methods := range doc.Paths {
		for method := range methods {
			got = append(got, method+" "+path)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-routes +openapi.yaml:\n%s", diff)
	}
}

// TestOpenAPIHasEveryField: the schemas have the fields of the Go types, and
// require those that are always there.
func TestOpenAPIHasEveryField(t *testing.T) {
	doc, _ := openAPI(t)
	for name, v := range map[string]any{
		"Node": supervisor.Node{}, "Consumer": supervisor.Consumer{}, "Window": supervisor.Window{}, "Status": Status{}, "Unhealthy": Problem{},
		"Event": Event{}, "Task": Task{}, "Problem": problem{}, "Entry": Entry{}, "Change": Change{}, "Canceled": canceled{}, "Well": well{},
	} {
		all, required := fields(reflect.TypeOf(v))
		schema := doc.Components.Schemas[name]
		if diff := cmp.Diff(all, slices.Sorted(maps.Keys(schema.Properties))); diff != "" {
			t.Errorf("%s (-Go +openapi.yaml):\n%s", name, diff)
		}
		if diff := cmp.Diff(required, slices.Sorted(slices.Values(schema.Required))); diff != "" {
			t.Errorf("required of %s (-Go +openapi.yaml):\n%s", name, diff)
		}
	}
}

// fields are the names that a type has in JSON.
func fields(typ reflect.Type) (all, required []string) {
	for _, f := range reflect.VisibleFields(typ) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "-" {
			continue
		}
		all = append(all, name)
		if !strings.Contains(options, "omit") {
			required = append(required, name)
		}
	}
	slices.Sort(all)
	slices.Sort(required)
	return all, required
}

// TestOpenAPIDescribesTheAnswers: each answer has a status that the file names,
// and a body that its schema allows.
func TestOpenAPIDescribesTheAnswers(t *testing.T) {
	doc, compiler := openAPI(t)
	now := time.Now()
	full := &supervisor.Node{
		ID: "mail/1", Kind: "worker", State: "backoff", Since: &now, Until: &now, BusySince: &now, Paused: new(true), PID: new(7),
		Handled: new(int64(1)), Window: &supervisor.Window{Period: time.Second}, Stack: "main.go:1", Children: []*supervisor.Node{},
	}
	rich := newHandler(t.Context(), richSource(full))
	poor := newHandler(t.Context(), Source{Tree: func() *supervisor.Node { return nil }})
	unfit := newHandler(t.Context(), unfitSource())
	for _, tt := range []struct {
		handler            http.Handler
		method, path, name string // name is the path in the file
		code               string
	}{
		{rich, "get", "/v1/tree", "/v1/tree", "200"},
		{poor, "get", "/v1/tree", "/v1/tree", "503"},
		{rich, "get", "/v1/status", "/v1/status", "200"},
		{poor, "get", "/v1/status", "/v1/status", "503"},
		{rich, "get", "/v1/nodes/mail/1", "/v1/nodes/{id}", "200"},
		{poor, "get", "/v1/nodes/mail/1", "/v1/nodes/{id}", "404"},
		{rich, "get", "/v1/events", "/v1/events", "200"},
		{poor, "get", "/v1/events", "/v1/events", "200"},
		{poor, "get", "/v1/events?after=x", "/v1/events", "400"},
		{rich, "get", "/v1/logs", "/v1/logs", "200"},
		{rich, "get", "/v1/logs?level=loud", "/v1/logs", "400"},
		{poor, "get", "/v1/logs", "/v1/logs", "501"},
		{rich, "get", "/v1/tasks", "/v1/tasks", "200"},
		{poor, "get", "/v1/tasks", "/v1/tasks", "200"},
		{rich, "get", "/v1/broker", "/v1/broker", "200"},
		{poor, "get", "/v1/broker", "/v1/broker", "404"},
		{rich, "get", "/livez", "/livez", "200"},
		{poor, "get", "/livez", "/livez", "503"},
		{rich, "get", "/readyz", "/readyz", "200"},
		{poor, "get", "/readyz", "/readyz", "503"},
		{unfit, "get", "/readyz", "/readyz", "503"},
		{poor, "get", "/metrics", "/metrics", "501"},
		{rich, "post", "/v1/restart/mail/1", "/v1/restart/{id}", "200"},
		{poor, "post", "/v1/restart/mail/1", "/v1/restart/{id}", "501"},
		{unfit, "post", "/v1/restart/mail/1", "/v1/restart/{id}", "404"},
		{rich, "post", "/v1/scale/mail?workers=2", "/v1/scale/{pool}", "200"},
		{rich, "post", "/v1/scale/mail", "/v1/scale/{pool}", "400"},
		{poor, "post", "/v1/scale/mail?workers=2", "/v1/scale/{pool}", "501"},
		{unfit, "post", "/v1/scale/mail?workers=2", "/v1/scale/{pool}", "409"},
		{rich, "post", "/v1/pause/mail", "/v1/pause/{pool}", "200"},
		{poor, "post", "/v1/pause/mail", "/v1/pause/{pool}", "501"},
		{rich, "post", "/v1/resume/mail", "/v1/resume/{pool}", "200"},
		{poor, "post", "/v1/resume/mail", "/v1/resume/{pool}", "501"},
		{rich, "post", "/v1/limit/mail?high=2", "/v1/limit/{pool}", "200"},
		{rich, "post", "/v1/limit/mail?high=2&low=2", "/v1/limit/{pool}", "400"},
		{poor, "post", "/v1/limit/mail?high=2", "/v1/limit/{pool}", "501"},
		{rich, "post", "/v1/cancel?task=7", "/v1/cancel", "200"},
		{rich, "post", "/v1/cancel", "/v1/cancel", "400"},
		{poor, "post", "/v1/cancel?task=7", "/v1/cancel", "501"},
		{rich, "post", "/v1/signal/mail/1?signal=TERM", "/v1/signal/{id}", "200"},
		{rich, "post", "/v1/signal/mail/1?signal=WINK", "/v1/signal/{id}", "400"},
		{poor, "post", "/v1/signal/mail/1?signal=TERM", "/v1/signal/{id}", "501"},
		{rich, "post", "/v1/recycle/mail/1", "/v1/recycle/{id}", "200"},
		{poor, "post", "/v1/recycle/mail/1", "/v1/recycle/{id}", "501"},
		{rich, "post", "/v1/kill/mail/1", "/v1/kill/{id}", "200"},
		{poor, "post", "/v1/kill/mail/1", "/v1/kill/{id}", "501"},
		{rich, "post", "/v1/reload", "/v1/reload", "200"},
		{poor, "post", "/v1/reload", "/v1/reload", "501"},
		{unfit, "post", "/v1/reload", "/v1/reload", "409"},
		{rich, "post", "/v1/diff", "/v1/diff", "200"},
		{poor, "post", "/v1/diff", "/v1/diff", "501"},
		{unfit, "post", "/v1/diff", "/v1/diff", "422"},
	} {
		w := httptest.NewRecorder()
		tt.handler.ServeHTTP(w, httptest.NewRequest(strings.ToUpper(tt.method), tt.path, nil))
		if got := strconv.Itoa(w.Code); got != tt.code {
			t.Errorf("%s %s: got %s, want %s", tt.method, tt.path, got, tt.code)
			continue
		}
		if _, ok := doc.Paths[tt.name][tt.method].Responses[tt.code]; !ok {
			t.Errorf("openapi.yaml: %s %s has no answer %s", tt.method, tt.name, tt.code)
			continue
		}
		holds(t, compiler, tt.name, tt.method, tt.code, w.Body.Bytes())
	}
}

// richSource offers everything, and does it.
func richSource(full *supervisor.Node) Source {
	now := time.Now()
	events, logs := new(Events), NewLogs(wants{slog.DiscardHandler})
	events.Add(supervisor.Event{Time: now, Type: supervisor.EventFailed, ID: "mail/1", Kind: "worker", Reason: "abnormal", Error: "boom"})
	events.Add(supervisor.Event{Time: now, Type: supervisor.EventBackoff, ID: "mail/1", Delay: time.Second})
	slog.New(logs.Handler()).Warn("full", "pool", "mail", "high", 64, "paused", true)
	named := func(context.Context, string) error { return nil }
	changes := []Change{{Pool: "mail", Action: "scale", Keys: []string{"workers"}, Text: "workers 8 -> 16"}, {Action: "manual"}}
	return Source{
		Tree: sampleTree, Inspect: func(string) *supervisor.Node { return full }, Events: events, Logs: logs, Broker: func() any { return struct{}{} },
		Tasks: func() []Task { return []Task{{Attempt: 1, Since: now}} }, Restart: named, Pause: named, Resume: named, Recycle: named,
		Scale:  func(context.Context, string, int) error { return nil },
		Limit:  func(context.Context, string, int, int) error { return nil },
		Cancel: func(context.Context, string) (int, error) { return 1, nil },
		Signal: func(string, syscall.Signal) error { return nil },
		Kill:   func(string) error { return nil },
		Reload: func(context.Context) ([]Change, error) { return changes, nil },
		Diff:   func(context.Context, []byte) ([]Change, error) { return changes, nil },
	}
}

// unfitSource offers some things, and cannot do them.
func unfitSource() Source {
	return Source{
		Tree: sampleTree,
		Report: func(context.Context) (any, error) {
			return map[string]any{"ready": false, "reasons": []string{"mail"}, "pools": []any{map[string]any{
				"pool": "mail", "queue": "q", "ready": false, "state": "stalled", "messages": nil, "text": "it does not",
			}}}, errors.New("router:mail does not consume")
		},
		Restart: func(context.Context, string) error { return supervisor.ErrNotFound },
		Scale:   func(context.Context, string, int) error { return errors.New("it is not running") },
		Reload: func(context.Context) ([]Change, error) {
			return []Change{{Pool: "mail", Action: "add"}}, errors.New("half of it")
		},
		Diff: func(context.Context, []byte) ([]Change, error) {
			return nil, &InvalidError{[]string{"magne.yaml:1:1: no"}}
		},
	}
}

// holds validates a body against the schema of a response, which may be a
// reference to one of the components.
func holds(t *testing.T, compiler *jsonschema.Compiler, path, method, code string, body []byte) {
	t.Helper()
	escape := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D")
	at := "#/paths/" + escape.Replace(path) + "/" + method + "/responses/" + code
	if component := componentOf(t, path, method, code); component != "" {
		at = component
	}
	schema, err := compiler.Compile("openapi.json" + at + "/content/application~1json/schema")
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(v); err != nil {
		t.Errorf("%s %s: %v\n%s", method, path, err, body)
	}
}

func componentOf(t *testing.T, path, method, code string) string {
	t.Helper()
	doc, _ := openAPI(t)
	if m, ok := doc.Paths[path][method].Responses[code].(map[string]any); ok {
		ref, _ := m["$ref"].(string)
		return ref
	}
	return ""
}
