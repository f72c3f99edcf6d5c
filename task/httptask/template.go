package httptask

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/magne-actors/magne-actors/task"
)

// template is a URL with placeholders, cut at them.
type template struct {
	parts []part
	user  *url.Userinfo // nil: none
}

// part is literal text, or a placeholder when name is not empty.
type part struct {
	text  string
	name  string
	query bool // stands in the query
}

func placeholders() []string { return []string{"task", "id", "queue"} }

// parseTemplate checks a template and cuts it up.
func parseTemplate(s string) (*template, error) {
	if s == "" {
		return nil, errors.New("httptask: url: missing")
	}
	t := &template{}
	inQuery := false
	for rest := s; rest != ""; {
		text, tail, found := strings.Cut(rest, "{")
		if strings.Contains(text, "}") {
			return nil, errors.New(`httptask: url: a "}" without "{"; write %7D for the character`)
		}
		inQuery = inQuery || strings.Contains(text, "?")
		t.parts = append(t.parts, part{text: text})
		if !found {
			break
		}
		name, after, closed := strings.Cut(tail, "}")
		if !closed {
			return nil, errors.New(`httptask: url: a "{" without "}"; write %7B for the character`)
		}
		if !slices.Contains(placeholders(), name) {
			return nil, fmt.Errorf("httptask: url: unknown placeholder %q: want one of {%s}", "{"+name+"}", strings.Join(placeholders(), "}, {"))
		}
		t.parts = append(t.parts, part{name: name, query: inQuery})
		rest = after
	}
	var err error
	t.user, err = checkURL(s)
	return t, err
}

// checkURL checks the URL around the placeholders, and returns the user in it.
// Its errors do not quote it: it may hold a password.
func checkURL(s string) (*url.Userinfo, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || scheme != "http" && scheme != "https" {
		return nil, errors.New("httptask: url: want http:// or https://")
	}
	if end := strings.IndexAny(rest+"/", "/?#"); strings.Contains(rest[:end], "{") {
		return nil, errors.New("httptask: url: a placeholder may stand in the path and the query only")
	}
	u, err := url.Parse(strings.NewReplacer("{", "", "}", "").Replace(s))
	switch {
	case err != nil:
		return nil, errors.New("httptask: url: malformed")
	case u.Hostname() == "":
		return nil, errors.New("httptask: url: no host")
	case strings.Contains(s, "#"):
		return nil, errors.New("httptask: url: a fragment is never sent; write %23 for the character")
	case hasDots(u.Path):
		return nil, errors.New(`httptask: url: the path has a segment "." or ".."`)
	}
	return u.User, nil
}

// expand returns the URL for a message, without the user.
func (t *template) expand(m *task.Message) (*url.URL, error) {
	var b strings.Builder
	for _, p := range t.parts {
		if p.name == "" {
			b.WriteString(p.text)
			continue
		}
		value := map[string]string{"task": m.Name, "id": m.ID, "queue": m.Queue}[p.name]
		if p.query {
			b.WriteString(url.QueryEscape(value))
			continue
		}
		if value == "" {
			return nil, fmt.Errorf("httptask: the URL needs {%s}, and the message has none", p.name)
		}
		b.WriteString(url.PathEscape(value))
	}
	u, err := url.Parse(b.String())
	if err != nil {
		return nil, errors.New("httptask: the URL of this message is malformed")
	}
	if hasDots(u.Path) {
		return nil, errors.New(`httptask: the message makes a segment "." or ".." in the path of the URL`)
	}
	u.User = nil
	return u, nil
}

// hasDots reports whether a server would resolve the path to another one.
func hasDots(path string) bool {
	return slices.ContainsFunc(strings.Split(path, "/"), func(s string) bool { return s == "." || s == ".." })
}

// redact returns what an error may say about a URL: not its path, since that of a
// webhook is a credential.
func redact(u *url.URL) string {
	path := ""
	if u.Path != "" && u.Path != "/" {
		path = "/..."
	}
	return clip(u.Scheme+"://"+u.Host, 256) + path
}

// clip bounds a text that comes from outside to about n bytes.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "..."
}
