package dlq

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

// variable is what differs between errors that are the same: identifiers and
// numbers. The alternatives are tried in their order at each place.
var variable = regexp.MustCompile(
	`[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}` + // UUID
		`|0[xX][0-9a-fA-F]+` +
		`|[0-9A-Za-z_]*[0-9][0-9A-Za-z_]*`) // a word with a digit

// Normalize is the text of an error without what makes each one different: UUIDs
// and long words with digits become <id>, hexadecimal numbers <hex>, other digits
// <n>, white space of any length one blank. Applied twice it changes nothing more.
func Normalize(message string) string {
	s := strings.Join(strings.Fields(strings.ToValidUTF8(message, "")), " ")
	return variable.ReplaceAllStringFunc(s, placeholder)
}

const (
	longHex  = 8  // digits: of a commit, a checksum, an address
	longWord = 16 // of a ULID, an access key, an opaque id
)

var digits = regexp.MustCompile(`[0-9]+`)

func placeholder(word string) string {
	switch {
	case strings.Contains(word, "-"):
		return "<id>"
	case len(word) > 2 && (word[:2] == "0x" || word[:2] == "0X"):
		return "<hex>"
	case strings.Trim(word, "0123456789") == "":
		return "<n>"
	case len(word) >= longHex && strings.Trim(word, "0123456789abcdefABCDEF") == "":
		return "<hex>"
	case len(word) >= longWord && len(strings.Join(digits.FindAllString(word, -1), "")) >= 3:
		return "<id>"
	}
	return digits.ReplaceAllString(word, "<n>") // utf8, item42
}

// fingerprint names the group of a letter: eight hexadecimal digits of a hash over
// its reason, its task and its normalised error.
func fingerprint(l *Letter) string {
	h := sha256.New()
	for _, part := range []string{l.Reason, l.Task, Normalize(l.Error)} {
		_, _ = h.Write(append([]byte(part), 0)) // a hash takes everything
	}
	return hex.EncodeToString(h.Sum(nil)[:4])
}
