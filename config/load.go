package config

import (
	"fmt"
	"io"
	"os"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
)

// Load reads the file at path with the process's environment; see Parse.
func Load(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	defer func() { _ = f.Close() }()
	return Parse(f, path, os.Environ())
}

// Parse reads a configuration from r. name stands for it in errors; environ is
// the environment in the form of os.Environ, and nil is an empty one.
//
// The error is of type Errors and lists every mistake. As with go/parser, the
// File is returned together with it and holds what could be read; its Options
// repeats the mistakes together with those that it finds itself.
func Parse(r io.Reader, name string, environ []string) (*File, error) {
	return parse(r, newReader(name, newEnvironment(environ), thisMachine()))
}

// ParseBroker is Parse for the embedded broker alone: there need be no pools, and
// broker.url, which may well lead to it, is not looked at.
func ParseBroker(r io.Reader, name string, environ []string) (*File, error) {
	rd := newReader(name, newEnvironment(environ), thisMachine())
	rd.alone = true
	return parse(r, rd)
}

func parse(r io.Reader, rd *reader) (*File, error) {
	f, err := rd.parse(r)
	if err != nil {
		// The table and the structs differ: a mistake in this package, which its tests look for.
		rd.errs = append(rd.errs, &FieldError{Source: rd.file, Message: err.Error()})
	}
	f.read = rd // also when there is nothing else
	if !rd.unread {
		f.check()
	}
	if len(rd.errs) > 0 {
		return f, sorted(rd.errs)
	}
	f.lint(rd.machine)
	return f, nil
}

// layout is File as viper sees it: everything is a mapping.
type layout struct {
	File  `mapstructure:",squash"`
	Pools map[string]Pool
}

// parse puts the layers together: viper knows which one wins. It gets typed values
// and keys in lower case without dots only, so that neither its conversions nor its
// idea of keys can change anything.
func (r *reader) parse(in io.Reader) (*File, error) {
	settings := map[string]any{}
	r.unread = true
	if y := r.document(in); y != nil {
		r.places[""] = place{r.file, y.Line, y.Column}
		if v, ok := r.value(r.root, nil, y); ok {
			settings, r.unread = v.(map[string]any), false
		}
	}
	v := viper.New()
	all := leaves(r.root, nil, settings)
	for _, l := range all {
		if l.node.def == "" {
			continue
		}
		def, err := l.node.parse(scalar{text: l.node.def})
		if err != nil {
			return &File{}, fmt.Errorf("default of %s: %w", l.node.path, err)
		}
		v.SetDefault(l.home.setting(), def)
	}
	if err := v.MergeConfigMap(settings); err != nil {
		return &File{}, err
	}
	for setting, value := range r.overrides(all) {
		v.Set(setting, value)
	}
	var l layout
	if err := v.UnmarshalExact(&l, exactly); err != nil {
		return &File{}, err
	}
	return r.named(&l), nil
}

// exactly switches viper's conversions off: the values have their types.
func exactly(c *mapstructure.DecoderConfig) {
	c.WeaklyTypedInput = false
	c.DecodeHook = nil
}

// named gives pools, tasks and the like their names back.
func (r *reader) named(l *layout) *File {
	f := &l.File
	f.read = r
	f.Broker.Embedded.Users = namedAll(f.Broker.Embedded.Users)
	for _, name := range r.chosen["pools"] {
		p := l.Pools[encode(name)]
		p.Name = name
		p.Tasks = r.namedTasks(name, p.Tasks)
		r.nameProcess(&p)
		p.Retry.Tasks = r.namedPolicies(name, p.Retry.Tasks)
		f.fill(&p)
		f.Pools = append(f.Pools, p)
	}
	return f
}

// namedTasks keeps also the tasks that have no keys: viper drops those.
func (r *reader) namedTasks(pool string, all map[string]Task) map[string]Task {
	tasks := map[string]Task{}
	for _, name := range r.chosen[poolPath(pool)+".tasks"] {
		t := all[encode(name)]
		if t.HTTP != nil {
			t.HTTP.Headers = namedAll(t.HTTP.Headers)
		}
		tasks[name] = t
	}
	return tasks
}

// nameProcess does the same for what is named in a process, secrets without keys too.
func (r *reader) nameProcess(p *Pool) {
	o := p.Process
	if o == nil {
		return
	}
	o.Env, o.Rlimits, o.Secrets = namedAll(o.Env), namedAll(o.Rlimits), namedAll(o.Secrets)
	for _, name := range r.chosen[poolPath(p.Name)+".process.secrets"] {
		if _, found := o.Secrets[name]; !found { // viper drops what has no keys
			o.Secrets[name] = ProcessSecret{}
		}
	}
}

// namedAll gives users, headers or variables their names back.
func namedAll[V any](all map[string]V) map[string]V {
	named := make(map[string]V, len(all))
	for k, v := range all {
		named[decode(k)] = v
	}
	return named
}
