package top

import (
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
)

// maxTyped bounds what is typed or pasted into a prompt, in bytes.
const maxTyped = 256

// prompt is the question in the last line. It has one of yes, changed and enter.
type prompt struct {
	label string
	text  string // the answer so far

	yes     func(m *Model) tea.Cmd              // y was pressed; any other key is no
	changed func(m *Model, text string)         // the text is another one; esc empties it
	enter   func(m *Model, text string) tea.Cmd // the text is complete; esc gives up
}

// press takes a key.
func (p *prompt) press(m *Model, msg tea.KeyPressMsg) tea.Cmd {
	name := msg.String()
	if p.yes != nil {
		m.prompt, m.note = nil, "not done"
		if name == "y" || name == "Y" {
			return p.yes(m)
		}
		return nil
	}
	switch name {
	case "enter":
		m.prompt = nil
		if p.enter != nil {
			return p.enter(m, p.text)
		}
	case "esc":
		m.prompt = nil
		p.set(m, "")
	case "backspace", "ctrl+h":
		_, size := utf8.DecodeLastRuneInString(p.text)
		p.set(m, p.text[:len(p.text)-size])
	case "ctrl+u":
		p.set(m, "")
	default:
		return p.typed(m, msg.Text)
	}
	return nil
}

// typed takes text that was typed or pasted.
func (p *prompt) typed(m *Model, text string) tea.Cmd {
	if p.yes == nil && text != "" && len(p.text)+len(text) <= maxTyped {
		p.set(m, p.text+text)
	}
	return nil
}

func (p *prompt) set(m *Model, text string) {
	p.text = text
	if p.changed != nil {
		p.changed(m, text)
	}
}
