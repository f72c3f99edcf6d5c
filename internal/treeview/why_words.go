package treeview

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/magne-actors/magne-actors/supervisor"
)

// above stands for an error that has been said.
const above = "the error above"

// because is the last error as the reason of what is said.
func (w *why) because(n *supervisor.Node) string {
	if n.LastError == "" {
		return ""
	}
	return ": " + w.reason(n)
}

// before is the last error as something that is over.
func (w *why) before(n *supervisor.Node) string {
	if n.LastError == "" {
		return ""
	}
	if text := w.reason(n); text != above {
		return "; its last error was " + text
	}
	return "; its last error was the one above"
}

// reason is the last error, unless it has been said: siblings mostly fail alike, and
// a supervisor gives up with the words of its child.
func (w *why) reason(n *supervisor.Node) string {
	text := strings.TrimPrefix(n.LastError, "supervisor: "+n.ID+" gave up: ")
	switch {
	case text == "":
		return "no error"
	case w.repeats(text):
		return above
	}
	return text
}

// short is a text that is easier read twice than looked up.
const short = 24

// repeats reports whether a text was said, but for how long it took.
func (w *why) repeats(text string) bool {
	text = timeless(clean(text))
	return len(text) > short && strings.Contains(timeless(strings.Join(w.lines, "\n")), text)
}

var durations = regexp.MustCompile(`\b[0-9][0-9.]*(ns|µs|ms|s|m|h)\b`)

// timeless is a text without its durations.
func timeless(text string) string { return durations.ReplaceAllString(text, "") }

// states is how many nodes are in which state, in the order of the nodes.
func states(nodes []*supervisor.Node) string {
	var words []string
	n := map[string]int64{}
	for _, c := range nodes {
		if n[c.State]++; n[c.State] == 1 {
			words = append(words, c.State)
		}
	}
	for i, word := range words {
		words[i] = fmt.Sprintf("%d %s", n[word], word)
	}
	return strings.Join(words, ", ")
}

func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func value(p *int64) int64 {
	if p == nil {
		return 0
	}
	return *p
}
