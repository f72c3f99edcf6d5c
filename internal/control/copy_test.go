package control

import (
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

func TestIdsOfCopies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id, n := rapid.StringMatching(`[a-z:/@.0-9]{0,12}`).Draw(t, "id"), rapid.IntRange(1, 256).Draw(t, "copy")
		if base, number := CutCopy(At(id, n)); base != id || number != n {
			t.Fatalf("got %q and %d", base, number)
		}
	})
	for _, id := range []string{"", "mail/3", "a@", "a@0", "a@-1", "a@01", "a@b", "a@+1", "<x@host.example>", "@"} {
		if base, number := CutCopy(id); base != id || number != 0 {
			t.Errorf("%q: got %q and %d", id, base, number)
		}
	}
}

func TestWhatConcernsACopy(t *testing.T) {
	for _, c := range []struct {
		node string
		yes  []string
		no   []string
	}{
		{"mail", []string{"mail@1", "router:mail@2", "pool:mail@1", "mail/3@1", "mail/3"}, []string{"mails@1", "copy/1", "root@1"}},
		{"mail@2", []string{"mail@2", "router:mail@2", "mail/3@2"}, []string{"mail@1", "mail/3@1", "mail/3", "copy/2"}},
		{"mail/3@2", []string{"mail/3@2"}, []string{"mail/3@1", "mail/33@2", "mail@2"}},
		{"pool:mail@1", []string{"pool:mail@1", "mail/1@1"}, []string{"router:mail@1", "mail/1@2"}},
		{"root@2", []string{"root@2", "mail/3@2", "broker@2"}, []string{"root@1", "copy/2", "root"}},
		{"copy/2", []string{"copy/2", "root@2", "mail/3@2"}, []string{"copy/1", "root@1", "copies"}},
		{"copies", []string{"copies", "copy/2", "root@2"}, []string{"root", "control"}},
		{"root", []string{"root", "mail/3@2"}, nil},
	} {
		for _, id := range c.yes {
			if !concerns(id, c.node) {
				t.Errorf("%s does not concern %s", id, c.node)
			}
		}
		for _, id := range c.no {
			if concerns(id, c.node) {
				t.Errorf("%s concerns %s", id, c.node)
			}
		}
	}
}

// What a copy has logged has its number, and ids without one.
func TestLogsOfCopies(t *testing.T) {
	entry := func(copy int, kv ...string) Attrs {
		var as Attrs
		for i := 0; i < len(kv); i += 2 {
			as = append(as, Attr{kv[i], kv[i+1]})
		}
		if copy > 0 {
			as = append(as, Attr{"copy", int64(copy)})
		}
		return as
	}
	for i, c := range []struct {
		node string
		as   Attrs
		want bool
	}{
		{"mail", entry(2, "pool", "mail"), true},
		{"mail@2", entry(2, "pool", "mail"), true},
		{"router:mail@2", entry(2, "pool", "mail"), true},
		{"mail/3@2", entry(2, "actor", "mail/3"), true},
		{"mail/3", entry(2, "actor", "mail/3"), true},
		{"mail@1", entry(2, "pool", "mail"), false},
		{"mail@2", entry(0, "pool", "mail"), false},
		{"mail/3@2", entry(2, "actor", "mail/4"), false},
		{"copy/2", entry(2, "broker", "x"), true},
		{"copy/2", entry(0, "actor", "copy/2"), true},
		{"copy/2", entry(0, "actor", "copy/1"), false},
		{"copy/2", entry(1, "actor", "x"), false},
		{"root@2", entry(2), true},
		{"copies", entry(1), true},
		{"copies", entry(0, "actor", "copies"), true},
		{"copies", entry(0, "actor", "control"), false},
	} {
		if got := c.as.concerns(c.node); got != c.want {
			t.Errorf("%s: %s concerns %v: got %v", strconv.Itoa(i), c.node, c.as, got)
		}
	}
}
