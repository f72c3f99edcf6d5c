package config

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a string that must not be shown. Formatting, logging and marshalling
// it yields "[secret]" with every verb but %p, which package fmt keeps for itself.
// Reveal gives the text.
type Secret string

const redacted = "[secret]"

// Reveal returns the secret's text.
func (s Secret) Reveal() string { return string(s) }

// Format hides the text from every verb of package fmt.
func (s Secret) Format(w fmt.State, _ rune) {
	if s != "" {
		_, _ = io.WriteString(w, redacted)
	}
}

// LogValue hides the text from log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(s)) }

// MarshalText hides the text from encoding/json and the like.
func (s Secret) MarshalText() ([]byte, error) { return fmt.Append(nil, s), nil }
