package config

import (
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// overrides reads the variables that stand for keys. A variable can replace or
// give the value of a key, not add a pool or a task. An empty one counts as not
// set. The result maps path.setting to values.
func (r *reader) overrides(all []leaf) map[string]any {
	byVariable := map[string][]leaf{}
	for _, l := range all {
		if l.node.path != "version" { // says what the file is; and MAGNE_VERSION is anybody's
			byVariable[l.path.variable()] = append(byVariable[l.path.variable()], l)
		}
	}
	known := slices.Sorted(maps.Keys(byVariable))
	values := map[string]any{}
	for _, name := range known {
		text := r.env[name]
		if text == "" {
			continue
		}
		if many := byVariable[name]; len(many) > 1 {
			r.errs = append(r.errs, &FieldError{Source: name, Message: "stands for " + many[0].path.String() + " and for " + many[1].path.String() +
				": rename one, or set the value in the file"})
			continue
		}
		l := byVariable[name][0]
		r.places[l.path.String()], r.places[l.home.String()] = place{source: name}, place{source: name}
		s := scalar{text: text, hidden: l.node.kind == secret || l.node.private}
		r.hidden[l.path.String()] = s.hidden
		if v, ok := r.parsed(l.node, l.path, s); ok {
			values[l.home.setting()] = v
		}
	}
	r.strays(known)
	return values
}

// strays looks at the variables that begin with MAGNE_ and stand for nothing.
// Below the name of a section they can only be meant for us: an error. Others may
// be somebody else's: a warning when one looks like a typing mistake.
func (r *reader) strays(known []string) {
	for _, name := range slices.Sorted(maps.Keys(r.env)) {
		if !strings.HasPrefix(name, "MAGNE_") || slices.Contains(known, name) || r.env[name] == "" {
			continue
		}
		hint := "; an override can only change keys, and pools and tasks that are in the file"
		near := nearest(name, known)
		if near != "" {
			hint = ": did you mean " + near + "?"
		}
		switch {
		case r.ours(name):
			r.errs = append(r.errs, &FieldError{Source: name, Message: "no key has this environment variable" + hint})
		case near != "" && levenshtein.Distance(name, near, nil) <= 2:
			r.warns = append(r.warns, &FieldError{Source: name, Message: "not used" + hint})
		}
	}
}

func (r *reader) ours(name string) bool {
	return slices.ContainsFunc(r.root.nodes, func(n *node) bool {
		return (n.kind == section || n.kind == names) && strings.HasPrefix(name, path{{name: n.name}}.variable()+"_")
	})
}

// warnOpen notes when a secret's file can be read by every user.
func (r *reader) warnOpen(file, at string) {
	if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o004 != 0 {
		r.warn(at, "every user of this machine may read the file %q: chmod o-r it", file)
	}
}
