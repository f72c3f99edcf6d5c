package process

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/magne-actors/magne-actors/internal/osproc"
)

// redactor replaces secrets. The zero value knows none.
type redactor struct {
	words    []string
	replacer *strings.Replacer
}

const redacted = "[redacted]"

// newRedactor knows each secret, and each line of one that has several.
func newRedactor(secrets []string) *redactor {
	r := &redactor{}
	for _, s := range secrets {
		for _, part := range append(strings.Split(s, "\n"), s) {
			r.words = append(r.words, spellings(part)...)
		}
	}
	r.words = slices.DeleteFunc(r.words, func(s string) bool { return s == "" })
	slices.SortFunc(r.words, func(a, b string) int { // the longest one that fits is replaced
		return cmp.Or(cmp.Compare(len(b), len(a)), strings.Compare(a, b))
	})
	r.words = slices.Compact(r.words)
	pairs := make([]string, 0, 2*len(r.words))
	for _, w := range r.words {
		pairs = append(pairs, w, redacted)
	}
	r.replacer = strings.NewReplacer(pairs...)
	return r
}

// spellings are a text as it is, and as encoders of JSON write it in a string: they
// differ in what they escape besides quotes. Python's leaves no letter beyond
// ASCII, Go's no <, PHP's no slash.
func spellings(s string) []string {
	var plain bytes.Buffer
	e := json.NewEncoder(&plain)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // of a string it cannot fail
	html, _ := json.Marshal(s)
	all := []string{s}
	for _, quoted := range [][]byte{bytes.TrimSuffix(plain.Bytes(), []byte("\n")), html} {
		inner := string(quoted[1 : len(quoted)-1])
		for _, v := range []string{inner, ascii(inner, `\u%04x`), ascii(inner, `\u%04X`)} {
			all = append(all, v, strings.ReplaceAll(v, "/", `\/`))
		}
	}
	return all
}

// ascii writes what is beyond ASCII in the format of an escape of a JSON string.
func ascii(s, format string) string {
	var b strings.Builder
	for _, c := range s {
		if c < utf8.RuneSelf {
			b.WriteRune(c)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, c) {
			fmt.Fprintf(&b, format, unit)
		}
	}
	return b.String()
}

// fields replaces the secrets in a JSON object, names included. Its text may have
// written them in a way that nobody thought of.
func (r *redactor) fields(object map[string]any) {
	if len(r.words) == 0 {
		return
	}
	for _, name := range slices.Collect(maps.Keys(object)) {
		v := r.value(object[name])
		delete(object, name)
		object[r.text(name)] = v
	}
}

func (r *redactor) value(v any) any {
	switch v := v.(type) {
	case string:
		return r.text(v)
	case []any:
		for i := range v {
			v[i] = r.value(v[i])
		}
	case map[string]any:
		r.fields(v)
	}
	return v
}

func (r *redactor) text(s string) string {
	if len(r.words) == 0 {
		return s
	}
	return r.replacer.Replace(s)
}

// line returns the text of a line. The end of one that was too long may be the
// beginning of a secret.
func (r *redactor) line(l osproc.Line) string {
	text := r.text(l.Text)
	if l.Cut == 0 {
		return text
	}
	for _, w := range r.words {
		for n := len(w) - 1; n > 0; n-- {
			if strings.HasSuffix(text, w[:n]) {
				return text[:len(text)-n] + redacted
			}
		}
	}
	return text
}

// exit returns e with the secrets in its log replaced.
func (r *redactor) exit(e osproc.Exit) osproc.Exit {
	if len(r.words) == 0 {
		return e
	}
	e.Tail = slices.Clone(e.Tail)
	for i, l := range e.Tail {
		e.Tail[i].Text = r.line(l)
	}
	return e
}
