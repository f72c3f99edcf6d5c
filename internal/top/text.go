package top

import (
	"strings"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/internal/treeview"
)

// The attributes that lines have.
const (
	bold    = "\x1b[1m"
	faint   = "\x1b[2m"
	reverse = "\x1b[7m"
	plain   = "\x1b[0m"
)

// clean makes text of the instance fit for a cell. The variation selector that
// makes the rune before it wide is left out.
func clean(s string) string { return narrow(treeview.Clean(s)) }

func narrow(s string) string { return strings.ReplaceAll(s, "\ufe0f", "") }

// displayWidth counts rune by rune, so that widths add up. A terminal that counts
// by grapheme may find rare scripts longer; the renderer cuts the line then.
func displayWidth(s string) int { return ansi.StringWidthWc(s) }

// cut cuts a line to a width; its last cell is "…" then. What sets attributes
// stays. (ansi.TruncateWc decides by graphemes whether there is something to cut.)
func cut(s string, width int) string {
	if displayWidth(s) <= width {
		return s
	}
	var b strings.Builder
	used, full := 0, false
	for i := 0; i < len(s); {
		size := attribute(s[i:])
		if size > 0 {
			b.WriteString(s[i : i+size])
			i += size
			continue
		}
		_, size = utf8.DecodeRuneInString(s[i:])
		cells := displayWidth(s[i : i+size])
		switch {
		case full:
		case used+cells <= width-1:
			used += cells
			b.WriteString(s[i : i+size])
		default:
			if full = true; width > 0 {
				b.WriteString("…")
			}
		}
		i += size
	}
	return b.String()
}

// attribute is how long the escape sequence is that s begins with, or 0. There
// are only those of the constants and colours.
func attribute(s string) int {
	if !strings.HasPrefix(s, "\x1b[") {
		return 0
	}
	return strings.IndexByte(s, 'm') + 1
}

// end is the end of a text that has no attributes, at most width wide.
func end(s string, width int) string {
	for displayWidth(s) > max(width, 0) {
		_, size := utf8.DecodeRuneInString(s)
		s = s[size:]
	}
	return s
}

// pad cuts or fills text to a width.
func pad(text string, width int, right bool) string {
	text = cut(text, width)
	blanks := strings.Repeat(" ", max(width-displayWidth(text), 0))
	if right {
		return blanks + text
	}
	return text + blanks
}

// paint colours text by health: green, yellow, red.
func paint(text string, h control.Health) string {
	code := "32"
	switch h {
	case control.Healthy:
	case control.Degraded:
		code = "33"
	case control.Failed:
		code = "31"
	}
	return "\x1b[" + code + "m" + text + plain
}
