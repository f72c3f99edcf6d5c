package config

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"
)

const exampleHead = `# magne.yaml: what magne-actors consumes and how.
#
# Lines that begin with # and a word are keys with their defaults. Each value can
# be ${VARIABLE} or ${VARIABLE:-default}; secrets can be file:/path. The variable
# MAGNE_POOLS_HELLO_WORKERS overrides pools.hello.workers, and so on.
# All about it: docs/configuration.md. Check it with: magne-actors check
`

// Example returns a valid magne.yaml that shows every key with what it means.
func Example() []byte {
	w := &exampleWriter{}
	w.WriteString(exampleHead)
	w.nodes(newTree(), exampleAt{active: true})
	return w.Bytes()
}

type exampleWriter struct{ bytes.Buffer }

// exampleAt is where the writer is.
type exampleAt struct {
	depth  int
	base   int // depth at which the lines began to be commented out
	active bool
	name   string // the sample name that we are below
	extra  bool   // it is a further one: only what is said to be for it is shown
}

func (at exampleAt) below() exampleAt { at.depth++; return at }

// off is at, commented out from here on.
func (at exampleAt) off() exampleAt {
	if at.active {
		at.active, at.base = false, at.depth
	}
	return at
}

// line writes one line, behind # where the keys are commented out.
func (w *exampleWriter) line(at exampleAt, text string) {
	if at.active {
		fmt.Fprintf(w, "%s%s\n", strings.Repeat("  ", at.depth), text)
		return
	}
	fmt.Fprintf(w, "%s#%s%s\n", strings.Repeat("  ", at.base), strings.Repeat("  ", at.depth-at.base), text)
}

func (w *exampleWriter) nodes(n *node, at exampleAt) {
	for _, c := range n.nodes {
		if c.absent != "" || !c.shownFor(at) {
			continue
		}
		if at.depth == 0 {
			w.WriteByte('\n')
		}
		w.node(c, at)
	}
}

// shownFor reports whether the key is shown below the name that we are below.
func (k *key) shownFor(at exampleAt) bool {
	_, special := k.per[at.name]
	return k.only == at.name || special || k.only == "" && !at.extra
}

func (w *exampleWriter) node(n *node, at exampleAt) {
	switch n.kind {
	case section:
		w.doc(at, n.doc)
		if !n.sampled() {
			at = at.off()
		}
		w.line(at, n.name+":")
		below := at.below()
		below.extra = below.extra && n.only == "" // all that is in a section which is for this name
		w.nodes(n, below)
	case names:
		w.doc(at, n.doc)
		if !n.sampled() {
			at = at.off()
		}
		w.line(at, n.name+":")
		w.names(n.each, at.below())
	default:
		w.value(n, at)
	}
}

// names writes the sample names, the one that is on first.
func (w *exampleWriter) names(each *node, at exampleAt) {
	for i, name := range append([]string{each.sample}, each.comment...) {
		at := at
		if i > 0 {
			at = at.off()
		}
		at.name, at.extra = name, i > 0
		if each.kind != section {
			w.line(at, name+": "+each.shown)
			continue
		}
		w.line(at, name+":")
		w.nodes(each, at.below())
	}
}

func (w *exampleWriter) value(n *node, at exampleAt) {
	words := n.doc
	if n.enum != nil {
		words += " One of " + enumerate(n.enum, "or") + "."
	}
	if n.rule != "" {
		words += " Default: " + n.rule + "."
	}
	w.doc(at, words)
	value := n.sample
	if value == "" || n.per[at.name] != "" {
		at, value = at.off(), cmp.Or(n.per[at.name], n.shown, n.def)
	}
	if value == "" {
		w.line(at, "# "+n.name+":") // nothing that could be shown would do
		return
	}
	w.line(at, n.name+": "+value)
}

// sampled reports whether something below n is not commented out.
func (n *node) sampled() bool {
	if n.each != nil {
		return n.each.sampled()
	}
	if n.kind != section {
		return n.sample != "" && !strings.HasPrefix(n.name, "<")
	}
	for _, c := range n.nodes {
		if c.sampled() {
			return true
		}
	}
	return false
}

// doc writes words as comments of at most 100 columns.
func (w *exampleWriter) doc(at exampleAt, words string) {
	const columns = 100
	line := "#"
	for word := range strings.FieldsSeq(words) {
		if len(line)+len(word)+2*at.depth >= columns {
			w.line(at, line)
			line = "#"
		}
		line += " " + word
	}
	w.line(at, line)
}
