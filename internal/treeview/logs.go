package treeview

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"unicode"

	"github.com/magne-actors/magne-actors/internal/control"
)

// Logs returns one line for each entry of a log: when, how bad, what, and the
// attributes. It cuts nothing, whatever the width.
func Logs(list []control.Entry, o Options) string {
	var b strings.Builder
	for _, e := range list {
		level := fmt.Sprintf("%-5s", e.Level)
		fmt.Fprintf(&b, "%s %s %s", e.Time.UTC().Format("2006-01-02T15:04:05.000Z"), paint(level, levelHealth(e.Level), o.Color), indented(e.Message))
		for _, a := range e.Attrs {
			fmt.Fprintf(&b, " %s=%s", clean(a.Key), quoted(fmt.Sprint(a.Value)))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func levelHealth(l slog.Level) control.Health {
	switch {
	case l >= slog.LevelError:
		return control.Failed
	case l >= slog.LevelWarn:
		return control.Degraded
	}
	return control.Healthy
}

// quoted is a value that can be told from what stands beside it.
func quoted(text string) string {
	special := func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == '"' || r == '=' }
	if text == "" || strings.ContainsFunc(text, special) {
		return strconv.Quote(text)
	}
	return text
}
