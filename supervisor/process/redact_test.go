package process

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/magne-actors/magne-actors/internal/osproc"
)

// A secret that a process logs as JSON is not shown, whatever its encoder escapes:
// letters beyond ASCII, the slash, < and >, or what nobody needs to.
func TestSecretsInJSON(t *testing.T) {
	for _, secret := range []string{"pässwört-geheim", "amqp://me:geheim@host/v", `a"b<c>&geheim`, "geheim\U0001F511"} {
		redact := newRedactor([]string{secret})
		for name, quoted := range map[string]string{
			"as it is": quote(secret), "Go": marshal(t, secret), "Python": ascii(quote(secret), `\u%04x`),
			"PHP": strings.ReplaceAll(ascii(quote(secret), `\u%04x`), "/", `\/`), "Java": ascii(quote(secret), `\u%04X`),
		} {
			for _, line := range []string{
				`{"msg":` + quoted + `,"a":{"b":[` + quoted + `]},` + quoted + `:1}`,
				`{"other":` + quoted + `}`,
				`Settings ` + quoted,
			} {
				holdsNoSecret(t, name, logged(redact, line), secret)
			}
		}
		everything := `{"msg":` + escaped(secret) + `,"a":{"b":[` + escaped(secret) + `]},` + escaped(secret) + `:1}`
		holdsNoSecret(t, "all escaped", logged(redact, everything), secret)
		l := &frameLog{c: &child{redact: redact}}
		if got := slog.GroupAttrs("", l.fields(json.RawMessage(everything))...).String(); strings.Contains(got, "geheim") {
			t.Errorf("fields of a log frame: %s", got)
		}
	}
}

// logged is what becomes of a line in the log.
func logged(redact *redactor, line string) string {
	var b bytes.Buffer
	l := newLineLog(slog.New(slog.NewTextHandler(&b, nil)), redact, ParseAuto)
	l.started(1)
	l.add(osproc.Line{Text: line})
	return b.String()
}

func holdsNoSecret(t *testing.T, what, got, secret string) {
	t.Helper()
	if !strings.Contains(got, redacted) || strings.Contains(got, "geheim") {
		t.Errorf("%q by %s: %s", secret, what, got)
	}
}

// quote escapes only what it has to.
func quote(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` }

func marshal(t *testing.T, s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// escaped escapes every single character.
func escaped(s string) string {
	var b strings.Builder
	for _, c := range s {
		if c < 0x80 {
			b.WriteString(`\u00` + string("0123456789abcdef"[c>>4]) + string("0123456789abcdef"[c&15]))
		} else {
			b.WriteString(ascii(string(c), `\u%04x`))
		}
	}
	return `"` + b.String() + `"`
}
