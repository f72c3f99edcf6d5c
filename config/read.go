package config

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxNodes bounds the values after aliases are followed: a few lines can make
// billions.
const maxNodes = 100_000

// place is where a value was set.
type place struct {
	source       string
	line, column int
}

// reader turns YAML nodes into settings, as path.setting names them, and notes
// every mistake.
type reader struct {
	file    string // its name in messages
	root    *node
	env     environment
	machine machine
	places  map[string]place  // by path.String(): what is set, and where
	bad     map[string]bool   // paths whose value is no use
	under   map[string]bool   // paths below which something is
	hidden  map[string]bool   // paths whose value came from a variable or a file
	files   map[string]string // by path: where a secret was read from
	alone   bool              // for the embedded broker, without anything that uses it
	unread  bool              // it is not even a mapping: nothing else can be said about it
	warns   []*FieldError
	lacks   []*FieldError // see lack
	errs    []*FieldError
	chosen  map[string][]string // by path: the names below it, as they stand in the file
	nodes   int
}

func newReader(file string, env environment, m machine) *reader {
	return &reader{
		file: file, root: newTree(), env: env, machine: m,
		places: map[string]place{"": {source: file}}, bad: map[string]bool{}, under: map[string]bool{},
		hidden: map[string]bool{}, chosen: map[string][]string{}, files: map[string]string{},
	}
}

// fail notes a mistake at p, whose place must be known.
func (r *reader) fail(p path, format string, args ...any) {
	name := p.String()
	r.spoil(name)
	at := r.places[name]
	r.errs = append(r.errs, &FieldError{Source: at.source, Path: name, Line: at.line, Column: at.column, Message: fmt.Sprintf(format, args...)})
}

// spoil notes that the value at a path is no use.
func (r *reader) spoil(path string) {
	r.bad[path] = true
	for around := parent(path); around != "" && !r.under[around]; around = parent(around) {
		r.under[around] = true
	}
}

// parent is the path of what path is in; it may be too long by a part of a quoted
// name, which is no path of anything.
func parent(path string) string {
	return path[:max(strings.LastIndexByte(path, '.'), strings.LastIndexByte(path, '['), 0)]
}

// note remembers where the value at p begins.
func (r *reader) note(p path, n *yaml.Node) { r.places[p.String()] = place{r.file, n.Line, n.Column} }

// document parses in. A nil result means that there is nothing to look into.
func (r *reader) document(in io.Reader) *yaml.Node {
	b, err := io.ReadAll(io.LimitReader(in, maxRead+1))
	if err == nil && len(b) > maxRead {
		err = errors.New("larger than 1 MiB: that cannot be a configuration")
	}
	if err != nil {
		r.errs = append(r.errs, &FieldError{Source: r.file, Message: err.Error()})
		return nil
	}
	dec := yaml.NewDecoder(strings.NewReader(string(b)))
	var doc, second yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		r.errs = append(r.errs, &FieldError{Source: r.file, Line: 1, Message: "empty: `magne-actors init` writes a configuration to start from"})
		return nil
	case err != nil:
		r.errs = append(r.errs, syntaxError(r.file, err))
		return nil
	}
	if err := dec.Decode(&second); err == nil {
		r.errs = append(r.errs, &FieldError{Source: r.file, Line: second.Line, Column: second.Column, Message: "a second document: a file has one"})
	} else if !errors.Is(err, io.EOF) {
		r.errs = append(r.errs, syntaxError(r.file, err))
	}
	return doc.Content[0]
}

// syntaxError takes the line out of the parser's message.
func syntaxError(file string, err error) *FieldError {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	e := &FieldError{Source: file, Message: "not valid YAML: " + msg}
	if m := regexp.MustCompile(`^line (\d+): (.*)$`).FindStringSubmatch(msg); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
		e.Message = "not valid YAML: " + m[2]
	}
	return e
}

// value reads what y says about the key n at p. ok is false when there is
// nothing to use.
func (r *reader) value(n *node, p path, y *yaml.Node) (v any, ok bool) {
	if !r.spend(p) {
		return nil, false
	}
	for y.Kind == yaml.AliasNode {
		y = y.Alias
	}
	switch {
	case n.kind == list && y.Kind == yaml.SequenceNode:
		return r.list(n, p, y)
	case n.kind != section && n.kind != names:
		return r.scalar(n, p, y)
	case n.alone != "" && y.Kind == yaml.ScalarNode && y.Tag != "!!null":
		only := n.child(n.alone)
		v, ok := r.scalar(only, p, y)
		r.hidden[p.add(only, only.name).String()] = r.hidden[p.String()]
		return map[string]any{n.alone: v}, ok
	case y.Kind == yaml.MappingNode:
		return r.mapping(n, p, y), true
	case y.Kind == yaml.ScalarNode && y.Tag == "!!null":
		return map[string]any{}, true // a section whose lines are all commented out
	}
	r.fail(p, "%s where keys are expected: %s", nodeName(y), expected(n))
	return nil, false
}

// spend counts a value, and says once when there are too many.
func (r *reader) spend(p path) bool {
	r.nodes++
	if r.nodes == maxNodes+1 {
		r.fail(p, "more than %d values by way of anchors and aliases: write fewer", maxNodes)
	}
	return r.nodes <= maxNodes
}

// expected says what stands under n.
func expected(n *node) string {
	if n.kind == names {
		return "write " + strings.Trim(n.each.name, "<>") + " names with what belongs to each below them"
	}
	return "write " + enumerate(n.known(), "or")
}

func nodeName(y *yaml.Node) string {
	switch y.Kind {
	case yaml.MappingNode:
		return "keys stand"
	case yaml.SequenceNode:
		return "a list stands"
	default:
		return "a single value stands"
	}
}

// mapping reads the keys of a section or names.
func (r *reader) mapping(n *node, p path, y *yaml.Node) map[string]any {
	out := map[string]any{}
	seen := map[string]int{}
	meant := map[string]bool{}
	for _, e := range r.entries(p, y, 0) {
		name := e.key.Value
		c := n.child(name)
		if c == nil {
			c = &node{key: key{absent: "?"}, name: name}
		}
		q := p.add(c, name)
		if line, twice := seen[name]; twice {
			if !e.merged {
				r.errorAt(q, e.key, "given twice, first in line %d: remove one", line)
			}
			continue // what a merge brings yields to what stands here
		}
		seen[name] = e.key.Line
		r.note(q, e.key)
		if n.child(name) == nil {
			meant[r.unknown(n, q, name)] = true
			continue
		}
		r.entry(c, q, e, out)
	}
	for name := range meant {
		// What was probably meant has a value, which nobody knows: nothing is said to be
		// missing, or compared with its default.
		if _, given := seen[name]; name != "" && !given {
			r.spoil(p.add(n.child(name), name).String())
		}
	}
	return out
}

// entry reads one key that is known.
func (r *reader) entry(c *node, q path, e entry, out map[string]any) {
	last := q[len(q)-1]
	name := last.name
	switch {
	case c.absent != "":
		r.fail(q, "not available in this version: %s", c.absent)
		return
	case last.chosen && !c.matches(name):
		r.fail(q, "not a possible name: use %s", c.wordDoc)
		return
	case last.chosen:
		around := q[:len(q)-1].String()
		r.chosen[around] = append(r.chosen[around], name)
		name = encode(name)
	}
	if v, ok := r.value(c, q, e.value); ok {
		out[name] = v
	} else if c.kind == section {
		out[name] = map[string]any{}
	}
}

// unknown notes a key that is in no table, and returns the one that was probably meant,
// if any. The values around it are right, and are looked at.
func (r *reader) unknown(n *node, p path, name string) (near string) {
	at := r.places[p.String()]
	note := func(format string, args ...any) {
		r.errs = append(r.errs, &FieldError{Source: at.source, Path: p.String(), Line: at.line, Column: at.column, Message: fmt.Sprintf(format, args...)})
	}
	// Extension keys give anchors a place to stand.
	if len(p) == 1 && strings.HasPrefix(name, "x-") {
		return ""
	}
	if near := n.meant(name); near != "" {
		note("unknown key: did you mean %s?", near)
		return near
	}
	if homes := r.root.homes(name); len(homes) > 0 && len(homes) <= 4 {
		note("unknown key here: %s is one", enumerate(homes, "or"))
		return ""
	}
	note("unknown key: remove it, or use %s", enumerate(n.known(), "or"))
	return ""
}

// scalar reads a single value.
func (r *reader) scalar(n *node, p path, y *yaml.Node) (any, bool) {
	switch {
	case y.Kind != yaml.ScalarNode:
		r.fail(p, "%s where %s is expected", nodeName(y), map[bool]string{true: "a list", false: "a single value"}[n.kind == list])
		return nil, false
	case y.Tag == "!!null":
		r.fail(p, "no value: give it one or remove the key")
		return nil, false
	}
	text, replaced, err := r.env.expand(y.Value)
	if err != nil {
		r.fail(p, "%v", err)
		return nil, false
	}
	s := scalar{text: text, tag: y.ShortTag(), hidden: replaced || n.kind == secret || n.private}
	if r.hidden[p.String()] = replaced; replaced {
		s.tag = "" // a variable has no type
	}
	return r.parsed(n, p, s)
}

// list reads the elements of a list as they are written, numbers too.
func (r *reader) list(n *node, p path, y *yaml.Node) (any, bool) {
	items := make([]string, 0, len(y.Content))
	for i, item := range y.Content {
		for item.Kind == yaml.AliasNode {
			item = item.Alias
		}
		if !r.spend(p) {
			return nil, false
		}
		if item.Kind != yaml.ScalarNode || item.Tag == "!!null" {
			r.fail(p, "element %d is no single value: write it like %s", i+1, n.example())
			return nil, false
		}
		text, replaced, err := r.env.expand(item.Value)
		if err != nil {
			r.fail(p, "element %d: %v", i+1, err)
			return nil, false
		}
		if name, isFile := strings.CutPrefix(text, "file:"); n.private && isFile {
			if text, err = readSecret(name); err != nil {
				r.fail(p, "element %d: %v", i+1, err)
				return nil, false
			}
			r.warnOpen(name, p.String())
		}
		r.hidden[p.String()] = r.hidden[p.String()] || replaced || n.private
		items = append(items, text)
	}
	return items, true
}

// parsed turns s into the type of n, or notes why it cannot.
func (r *reader) parsed(n *node, p path, s scalar) (any, bool) {
	v, err := n.parse(s)
	delete(r.files, p.String()) // of the value that this one replaces
	if name, isFile := strings.CutPrefix(s.text, "file:"); err == nil && n.kind == secret && isFile {
		v, err = readSecret(name)
		r.hidden[p.String()], r.files[p.String()] = true, name
		r.warnOpen(name, p.String())
	}
	if err != nil {
		r.fail(p, "%v", err)
		return nil, false
	}
	return v, true
}

// errorAt is fail for a place that is not the one that p has.
func (r *reader) errorAt(p path, y *yaml.Node, format string, args ...any) {
	r.errs = append(r.errs, &FieldError{Source: r.file, Path: p.String(), Line: y.Line, Column: y.Column, Message: fmt.Sprintf(format, args...)})
}

// entry is one line of a mapping; a merged one came through <<.
type entry struct {
	key, value *yaml.Node
	merged     bool
}

// entries lists a mapping's own keys, and after them those that << brings.
func (r *reader) entries(p path, y *yaml.Node, depth int) []entry {
	var own, brought []entry
	for pair := range slices.Chunk(y.Content, 2) {
		if !r.spend(p) {
			break
		}
		k, v := pair[0], pair[1]
		switch {
		case k.ShortTag() == "!!merge":
			brought = append(brought, r.merged(p, v, depth+1)...)
		case k.Kind != yaml.ScalarNode || k.Tag == "!!null":
			r.errorAt(p, k, "a key is a word")
		default:
			own = append(own, entry{key: k, value: v})
		}
	}
	return append(own, brought...)
}

// merged lists what a << brings: a mapping, or several.
func (r *reader) merged(p path, y *yaml.Node, depth int) []entry {
	if depth > 10 {
		r.errorAt(p, y, "<< nested too deeply")
		return nil
	}
	for y.Kind == yaml.AliasNode {
		y = y.Alias
	}
	var list []entry
	switch y.Kind {
	case yaml.MappingNode:
		for _, e := range r.entries(p, y, depth) {
			list = append(list, entry{e.key, e.value, true})
		}
	case yaml.SequenceNode:
		for _, each := range y.Content {
			list = append(list, r.merged(p, each, depth+1)...)
		}
	default:
		r.errorAt(p, y, "<< takes an alias of a mapping: <<: *name")
	}
	return list
}

// quoted is a chosen name with anything in it, as a component of a path.
func quoted(name string) string { return "[" + strconv.Quote(name) + "]" }
