package codec

import (
	"encoding/json"
	"fmt"
	"mime"
	"strings"

	"github.com/magne-actors/magne-actors/task"
)

// JSON is our own format: {"task": "name", "id": "...", "args": [...],
// "kwargs": {...}, "headers": {...}}, where all but task is optional.
type JSON struct{}

// Name returns "json".
func (JSON) Name() string { return "json" }

// Decode reads a message; see the package's guarantees. The content type must be
// absent, JSON, or one that says nothing (text/plain,
// application/octet-stream).
func (JSON) Decode(r *task.Raw) (*task.Message, error) {
	if err := checkContentType(r.ContentType); err != nil {
		return nil, fmt.Errorf("json: %w", err)
	}
	m, err := decode(r, []key{
		{"task", fieldTask},
		{"id", fieldID},
		{"args", fieldArgs},
		{"kwargs", fieldKwargs},
		{"headers", fieldHeaders},
	})
	if err != nil {
		return nil, fmt.Errorf("json: %w", err)
	}
	return m, nil
}

// Encode writes the body and sets the content type, and the AMQP message id and
// type to the message's id and task for those who look into the queue.
func (JSON) Encode(m *task.Message) (*task.Raw, error) {
	if err := checkMessage(m); err != nil {
		return nil, fmt.Errorf("json: encode: %w", err)
	}
	b := append(make([]byte, 0, 64+len(m.Args)+len(m.Kwargs)), `{"task":"`...)
	b = append(b, m.Name...) // a checked name needs no escapes
	b = append(b, '"')
	b = appendString(b, `,"id":`, m.ID)
	// Args and kwargs go out as they are: Marshal would rewrite their bytes.
	b = appendRaw(b, `,"args":`, m.Args)
	b = appendRaw(b, `,"kwargs":`, m.Kwargs)
	if len(m.Headers) > 0 {
		object, err := json.Marshal(m.Headers)
		if err != nil {
			return nil, fmt.Errorf("json: encode headers: %w", err)
		}
		b = appendRaw(b, `,"headers":`, object)
	}
	b = append(b, '}')
	return &task.Raw{MessageID: m.ID, Type: m.Name, ContentType: "application/json", Body: b}, nil
}

func appendRaw(b []byte, key string, value json.RawMessage) []byte {
	if len(value) == 0 {
		return b
	}
	return append(append(b, key...), value...)
}

func appendString(b []byte, key, s string) []byte {
	if s == "" {
		return b
	}
	quoted, _ := json.Marshal(s) // of a string it cannot fail
	return appendRaw(b, key, quoted)
}

func checkContentType(ct string) error {
	switch ct {
	case "", "application/json": // the usual ones need no parser
		return nil
	}
	mt, _, err := mime.ParseMediaType(ct)
	if err != nil && mt == "" {
		return fmt.Errorf("content type: want application/json, got %s", quote(ct))
	}
	switch mt {
	case "application/json", "text/plain", "application/octet-stream":
		return nil
	}
	if strings.HasSuffix(mt, "+json") {
		return nil
	}
	return fmt.Errorf("content type: want application/json, got %s", quote(ct))
}
