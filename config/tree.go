package config

import (
	"encoding/hex"
	"slices"
	"strings"
)

// node is a key with the keys below it.
type node struct {
	key
	name  string  // last component of the path
	nodes []*node // of a section: its keys, in the order of the table
	each  *node   // of names: what stands under each name
}

// newTree arranges the table as a tree. Its root is the whole file.
func newTree() *node {
	root := &node{}
	for _, k := range keys() {
		steps := strings.Split(k.path, ".")
		last := len(steps) - 1
		at := root
		for _, s := range steps[:last] {
			at = at.child(s)
		}
		n := &node{key: k, name: steps[last]}
		if strings.HasPrefix(n.name, "<") {
			at.each = n
		} else {
			at.nodes = append(at.nodes, n)
		}
	}
	return root
}

// child finds what is under name: a key of a section, or the pattern of names.
func (n *node) child(name string) *node {
	if n.kind == names {
		return n.each
	}
	if i := slices.IndexFunc(n.nodes, func(c *node) bool { return c.name == name }); i >= 0 {
		return n.nodes[i]
	}
	return nil
}

// known are the keys of a section that this version reads.
func (n *node) known() []string {
	var list []string
	for _, c := range n.nodes {
		if c.absent == "" {
			list = append(list, c.name)
		}
	}
	return list
}

// meant is the key that probably stands for a name that is none, or "".
func (n *node) meant(name string) string {
	for _, c := range n.nodes {
		if slices.Contains(c.others, strings.ToLower(name)) {
			return c.name
		}
	}
	return nearest(name, n.known())
}

// homes are the paths of all keys called name, for "it belongs under ...".
func (n *node) homes(name string) []string {
	var list []string
	for _, c := range n.nodes {
		if c.name == name && c.absent == "" {
			list = append(list, c.path)
		}
		list = append(list, c.homes(name)...)
	}
	if n.each != nil {
		list = append(list, n.each.homes(name)...)
	}
	return list
}

// step is one component of a concrete path; a chosen one is the user's word and
// may contain anything.
type step struct {
	name   string
	chosen bool
}

// path is a concrete path: the one of a key, with names in place of the <...>.
type path []step

func (p path) add(n *node, name string) path {
	return append(slices.Clip(p), step{name, strings.HasPrefix(n.name, "<")})
}

// String is how people see the path: pools.mail.tasks["a.b"].builtin.
func (p path) String() string {
	var b strings.Builder
	for i, s := range p {
		switch {
		case s.chosen && !plain(s.name):
			b.WriteString(quoted(s.name))
		case i > 0:
			b.WriteString("." + s.name)
		default:
			b.WriteString(s.name)
		}
	}
	return b.String()
}

// setting is the path as a key of viper. Chosen names are hex digits there,
// because viper lower-cases keys and splits them at dots.
func (p path) setting() string {
	parts := make([]string, len(p))
	for i, s := range p {
		parts[i] = s.name
		if s.chosen {
			parts[i] = encode(s.name)
		}
	}
	return strings.Join(parts, ".")
}

// variable is the environment variable that overrides the path.
func (p path) variable() string {
	var b strings.Builder
	b.WriteString("MAGNE")
	for _, s := range p {
		b.WriteByte('_')
		for _, r := range strings.ToUpper(s.name) {
			if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
				b.WriteRune(r)
			} else {
				b.WriteByte('_')
			}
		}
	}
	return b.String()
}

func encode(name string) string { return hex.EncodeToString([]byte(name)) }

// decode is the inverse of encode. What encode has not made cannot come here.
func decode(name string) string {
	b, _ := hex.DecodeString(name)
	return string(b)
}

// plain reports whether a chosen name needs no quotes in a path.
func plain(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-')
	})
}

// leaf is a concrete key with a value. Its home is where the value goes: the path,
// or below it when a value alone stands for a section.
type leaf struct {
	path, home path
	node       *node
}

// leaves lists every key that can have a value in a file whose names are those in
// settings, which maps keys to values as path.setting has them.
func leaves(n *node, at path, settings map[string]any) []leaf {
	var list []leaf
	visit := func(c *node, name string, below any) {
		p := at.add(c, name)
		m, found := below.(map[string]any)
		switch {
		case c.absent != "" || c.optional && !found:
		case c.kind == section || c.kind == names:
			list = append(list, leaves(c, p, m)...)
			if c.alone != "" {
				only := c.child(c.alone)
				list = append(list, leaf{p, p.add(only, only.name), only})
			}
		default:
			list = append(list, leaf{p, p, c})
		}
	}
	if n.kind == names {
		for _, k := range sortedNames(settings) {
			visit(n.each, decode(k), settings[k])
		}
		return list
	}
	for _, c := range n.nodes {
		visit(c, c.name, settings[c.name])
	}
	return list
}
