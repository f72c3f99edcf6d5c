package httptask

import (
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/task"
)

// Whatever a message contains, it fills its own place in the URL and no other.
func TestExpandStaysInItsPlace(t *testing.T) {
	tpl, err := parseTemplate("http://user@host:81/a/{task}/{id}?q={queue}&k=v")
	if err != nil {
		t.Fatal(err)
	}
	anything := rapid.OneOf(rapid.String(), rapid.StringMatching(`[./?#&%@:{}a=]{0,6}`))
	rapid.Check(t, func(t *rapid.T) {
		m := &task.Message{Name: anything.Draw(t, "task"), ID: anything.Draw(t, "id"), Queue: anything.Draw(t, "queue")}
		u, err := tpl.expand(m)
		if err != nil {
			if m.Name != "" && m.ID != "" && !strings.Contains(m.Name+m.ID, ".") {
				t.Fatalf("%+v: refused with %v", m, err)
			}
			return
		}
		if u.Scheme != "http" || u.Host != "host:81" || u.User != nil || u.Fragment != "" {
			t.Fatalf("%+v: got %v", m, u)
		}
		segments := strings.Split(u.EscapedPath(), "/")
		if len(segments) != 4 || segments[1] != "a" || unescape(t, segments[2]) != m.Name || unescape(t, segments[3]) != m.ID {
			t.Fatalf("%+v: got the path %q", m, u.EscapedPath())
		}
		if q, err := url.ParseQuery(u.RawQuery); err != nil || len(q) != 2 || q.Get("q") != m.Queue || q.Get("k") != "v" {
			t.Fatalf("%+v: got the query %q, %v", m, u.RawQuery, err)
		}
	})
}

func unescape(t *rapid.T, s string) string {
	out, err := url.PathUnescape(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return out
}
