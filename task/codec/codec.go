package codec

import (
	"fmt"
	"strings"

	"github.com/magne-actors/magne-actors/task"
)

// MaxDepth is how deep the arrays and objects of a body may be nested; the
// envelope is the first level.
const MaxDepth = 64

const (
	maxName    = 255 // bytes; a magne name is the name of a queue, and AMQP allows no more
	maxID      = 255 // bytes; AMQP allows no more for its own message id
	maxHeaders = 128 // in the body
)

// ByName returns the codec of that name. The error lists the known ones.
func ByName(name string) (task.Codec, error) {
	for _, c := range all() {
		if c.Name() == name {
			return c, nil
		}
	}
	return nil, fmt.Errorf("codec: unknown codec %q: want one of %s", name, strings.Join(Names(), ", "))
}

// Names returns the names of all codecs in alphabetical order.
func Names() []string {
	var names []string
	for _, c := range all() {
		names = append(names, c.Name())
	}
	return names
}

func all() []task.Codec { return []task.Codec{JSON{}, Magne{}} }

// CheckName returns an error when no message can carry name as its task: a name
// has 1 to 255 bytes, begins with a letter, "_" or "<", and goes on with those,
// digits and ".:/->". That covers Go, Python (also its "<locals>" and
// "<lambda>"), and paths.
func CheckName(name string) error {
	if len(name) == 0 {
		return fmt.Errorf("want a task name, got an empty string")
	}
	if len(name) > maxName {
		return fmt.Errorf("want a task name of at most %d bytes, got %d", maxName, len(name))
	}
	for i := range len(name) {
		if c := name[i]; !isNameStart(c) && (i == 0 || !isNameRest(c)) {
			return fmt.Errorf("want a task name of letters, digits and _.:/-<>, got %s", quote(name))
		}
	}
	return nil
}

func isNameStart(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c == '<'
}

func isNameRest(c byte) bool {
	return '0' <= c && c <= '9' || c == '.' || c == ':' || c == '/' || c == '-' || c == '>'
}

// quote makes a text from outside fit for an error: short, and in ASCII, so that
// look-alike letters show.
func quote(s string) string {
	if len(s) > 48 {
		return fmt.Sprintf("%+q...", s[:48])
	}
	return fmt.Sprintf("%+q", s)
}
