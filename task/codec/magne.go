package codec

import (
	"errors"
	"fmt"
	"strings"

	"github.com/magne-actors/magne-actors/task"
)

// Magne is the format of magne's publishers: {"func": "name", "args": [...]}.
// They set no AMQP properties, so the content type is not looked at. It has no
// named arguments.
type Magne struct{}

// Name returns "magne".
func (Magne) Name() string { return "magne" }

// Decode reads a message; see the package's guarantees. Missing args are none.
func (Magne) Decode(r *task.Raw) (*task.Message, error) {
	m, err := decode(r, []key{{"func", fieldTask}, {"args", fieldArgs}})
	if err != nil {
		return nil, fmt.Errorf("magne: %w", err)
	}
	return m, nil
}

// Encode writes the very bytes that a Python publisher's json.dumps writes. The
// id and the headers, which the body has no place for, go to the AMQP
// properties; otherwise these stay empty.
func (Magne) Encode(m *task.Message) (*task.Raw, error) {
	if err := checkMessage(m); err != nil {
		return nil, fmt.Errorf("magne: encode: %w", err)
	}
	if c := newCursor(m.Kwargs); len(m.Kwargs) > 0 {
		if _, _, ok := c.next(); ok {
			return nil, errors.New("magne: encode: the format has no named arguments")
		}
	}
	args := string(m.Args)
	if args == "" {
		args = "[]"
	}
	r := &task.Raw{
		MessageID: m.ID,
		Body:      []byte(`{"func": "` + m.Name + `", "args": ` + args + `}`), // a checked name needs no escapes
	}
	if len(m.Headers) > 0 {
		r.Headers = make(map[string]any, len(m.Headers))
		for k, v := range m.Headers {
			r.Headers[k] = v
		}
	}
	return r, nil
}

// MagneQueueName returns the name of the queue that magne's publishers send a
// task to, which is the name of its exchange and the routing key as well: the
// task's name in upper case.
func MagneQueueName(task string) string { return strings.ToUpper(task) }
