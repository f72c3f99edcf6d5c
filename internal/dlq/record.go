package dlq

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"
	"unicode/utf8"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
)

// recordVersion is that of the form in which messages are written.
const recordVersion = 1

// record is a message as a line of a file has it: all of it. Strings are as
// amqp.TextToJSON has them, headers as amqp.HeadersToJSON.
type record struct {
	Version         int             `json:"v"`
	Queue           string          `json:"queue,omitempty"`
	Exchange        string          `json:"exchange,omitempty"`
	RoutingKey      string          `json:"routing_key,omitempty"`
	ContentType     string          `json:"content_type,omitempty"`
	ContentEncoding string          `json:"content_encoding,omitempty"`
	MessageID       string          `json:"message_id,omitempty"`
	CorrelationID   string          `json:"correlation_id,omitempty"`
	Type            string          `json:"type,omitempty"`
	ReplyTo         string          `json:"reply_to,omitempty"`
	Expiration      string          `json:"expiration,omitempty"`
	AppID           string          `json:"app_id,omitempty"`
	User            string          `json:"user_id,omitempty"`
	Timestamp       *time.Time      `json:"timestamp,omitempty"`
	Priority        uint8           `json:"priority,omitempty"`
	Persistent      bool            `json:"persistent"`
	Headers         json.RawMessage `json:"headers"`
	Body            *string         `json:"body,omitempty"`
	BodyBase64      *string         `json:"body_base64,omitempty"`
}

// texts pairs the strings of a record with those of a message.
func (r *record) texts(d *broker.Delivery) [][2]*string {
	return [][2]*string{
		{&r.Queue, &d.Queue},
		{&r.Exchange, &d.Exchange},
		{&r.RoutingKey, &d.RoutingKey},
		{&r.ContentType, &d.ContentType},
		{&r.ContentEncoding, &d.ContentEncoding},
		{&r.MessageID, &d.MessageID},
		{&r.CorrelationID, &d.CorrelationID},
		{&r.Type, &d.Type},
		{&r.ReplyTo, &d.ReplyTo},
		{&r.Expiration, &d.Expiration},
		{&r.AppID, &d.AppID},
		{&r.User, &d.User},
	}
}

// Encode writes a message as one line of JSON, with the types of its headers and the
// body in base64. How often it was delivered is the queue's and not the message's,
// and is left out.
func Encode(d *broker.Delivery) ([]byte, error) { return encode(d, false) }

// EncodeText is Encode for people: over several lines, and the body as text when it
// is some.
func EncodeText(d *broker.Delivery) ([]byte, error) { return encode(d, true) }

func encode(d *broker.Delivery, readable bool) ([]byte, error) {
	r := record{Version: recordVersion, Priority: d.Priority, Persistent: d.Persistent}
	for _, pair := range r.texts(d) {
		*pair[0] = amqp.TextToJSON(*pair[1])
	}
	if !d.Timestamp.IsZero() {
		r.Timestamp = new(d.Timestamp.UTC())
	}
	headers := maps.Clone(d.Headers)
	maps.DeleteFunc(headers, func(name string, _ any) bool { return name == "x-delivery-count" || name == "x-acquired-count" })
	var err error
	if r.Headers, err = amqp.HeadersToJSON(headers); err != nil {
		return nil, fmt.Errorf("headers: %w", err)
	}
	if readable && utf8.Valid(d.Body) {
		r.Body = new(string(d.Body))
	} else {
		r.BodyBase64 = new(base64.StdEncoding.EncodeToString(d.Body))
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if readable {
		e.SetIndent("", "  ")
	}
	if err := e.Encode(r); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Decode reads what Encode or EncodeText has written, and nothing else: a name that is
// not known is an error.
func Decode(text []byte) (*broker.Delivery, error) {
	var r record
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON object")
	}
	if r.Version != recordVersion {
		return nil, fmt.Errorf(`"v" is %d, want %d: another version of magne-actors has written that`, r.Version, recordVersion)
	}
	d := &broker.Delivery{}
	for _, pair := range r.texts(d) {
		var err error
		if *pair[1], err = amqp.TextFromJSON(*pair[0]); err != nil {
			return nil, err
		}
	}
	d.Priority, d.Persistent = r.Priority, r.Persistent
	if r.Timestamp != nil {
		d.Timestamp = *r.Timestamp
	}
	var err error
	if len(r.Headers) > 0 {
		if d.Headers, err = amqp.HeadersFromJSON(r.Headers); err != nil {
			return nil, fmt.Errorf("headers: %w", err)
		}
	}
	d.Body, err = r.body()
	return d, err
}

func (r *record) body() ([]byte, error) {
	switch {
	case (r.Body == nil) == (r.BodyBase64 == nil):
		return nil, errors.New(`want either "body" or "body_base64"`)
	case r.Body != nil:
		return []byte(*r.Body), nil
	}
	b, err := base64.StdEncoding.DecodeString(*r.BodyBase64)
	if err != nil {
		return nil, fmt.Errorf("body_base64: %w", err)
	}
	return b, nil
}
