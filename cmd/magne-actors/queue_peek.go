package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/broker"
)

// maxPeek bounds -n: the messages are all held until the last one is there.
const maxPeek = 10_000

func newQueuePeekCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "peek QUEUE",
		Short: "Look at the next messages of a queue",
		Long: "peek shows the messages at the head of a queue and leaves them there. For the broker that is a\n" +
			"delivery that was given back: the messages are marked as redelivered, and in a quorum queue it counts\n" +
			"for x-delivery-limit. A quorum queue of RabbitMQ without that limit puts them at its end.",
		Example: "  magne-actors queue peek magne.v1.dead.work\n  magne-actors queue peek -n 100 work -o json",
		Args:    exactly("a queue"),
	}
	f := addQueueFlags(cmd)
	n := cmd.Flags().IntP("number", "n", 10, "how many messages at most")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *n < 1 || *n > maxPeek {
			return usageError(fmt.Errorf("-n %d", *n), "-n takes a number from 1 to %d", maxPeek)
		}
		return e.withQueues(cmd, f, func(ctx context.Context, q *queues) error {
			list, err := q.admin.Peek(ctx, args[0], *n)
			if err != nil {
				return refused(err)
			}
			out := make([]peeked, len(list))
			var text strings.Builder
			for i, d := range list {
				out[i] = show(d)
				out[i].write(&text, i+1)
			}
			if len(list) == 0 {
				fmt.Fprintf(&text, "no message is ready in queue %s\n", printable(args[0]))
			}
			return e.print(out, text.String())
		})
	}
	return cmd
}

// peeked is a message as -o json shows it. Body is the text, or BodyBytes what is
// no text.
type peeked struct {
	Exchange    string         `json:"exchange"`
	RoutingKey  string         `json:"routing_key"`
	Redelivered bool           `json:"redelivered"`
	Persistent  bool           `json:"persistent"`
	ContentType string         `json:"content_type,omitempty"`
	Encoding    string         `json:"content_encoding,omitempty"`
	MessageID   string         `json:"message_id,omitempty"`
	Correlation string         `json:"correlation_id,omitempty"`
	ReplyTo     string         `json:"reply_to,omitempty"`
	Type        string         `json:"type,omitempty"`
	AppID       string         `json:"app_id,omitempty"`
	User        string         `json:"user_id,omitempty"`
	Expiration  string         `json:"expiration,omitempty"`
	Priority    uint8          `json:"priority,omitempty"`
	Timestamp   *time.Time     `json:"timestamp,omitempty"`
	Headers     map[string]any `json:"headers,omitempty"`
	Body        *string        `json:"body,omitempty"`
	BodyBytes   []byte         `json:"body_base64,omitempty"`
}

func show(d *broker.Delivery) peeked {
	p := peeked{
		Exchange: d.Exchange, RoutingKey: d.RoutingKey, Redelivered: d.Redelivered, Persistent: d.Persistent,
		ContentType: d.ContentType, Encoding: d.ContentEncoding, MessageID: d.MessageID, Correlation: d.CorrelationID,
		ReplyTo: d.ReplyTo, Type: d.Type, AppID: d.AppID, User: d.User, Expiration: d.Expiration, Priority: d.Priority,
	}
	if !d.Timestamp.IsZero() {
		p.Timestamp = new(d.Timestamp.UTC())
	}
	if len(d.Headers) > 0 {
		p.Headers, _ = presentable(d.Headers).(map[string]any)
	}
	if utf8.Valid(d.Body) {
		p.Body = new(string(d.Body))
	} else {
		p.BodyBytes = d.Body
	}
	return p
}

// presentable is a header that JSON can carry.
func presentable(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, value := range v {
			out[name] = presentable(value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = presentable(v[i])
		}
		return out
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return strconv.FormatFloat(v, 'g', -1, 64)
		}
	case float32:
		return presentable(float64(v))
	}
	return v
}

// write prints a message for people: a line about it, its headers, its body.
func (p *peeked) write(b *strings.Builder, number int) {
	fmt.Fprintf(b, "%d: key %s", number, printable(p.RoutingKey))
	for _, field := range []struct{ what, value string }{
		{"exchange", p.Exchange}, {"id", p.MessageID}, {"type", p.Type}, {"content type", p.ContentType}, {"from", p.AppID},
	} {
		if field.value != "" {
			fmt.Fprintf(b, ", %s %s", field.what, printable(field.value))
		}
	}
	if p.Timestamp != nil {
		fmt.Fprintf(b, ", %s", p.Timestamp.Format(time.RFC3339))
	}
	if p.Redelivered {
		b.WriteString(", redelivered")
	}
	b.WriteByte('\n')
	for _, name := range sortedKeys(p.Headers) {
		value, err := json.Marshal(p.Headers[name])
		if err == nil {
			fmt.Fprintf(b, "   %s: %s\n", printable(name), value)
		}
	}
	if p.Body == nil {
		fmt.Fprintf(b, "   %d bytes that are no text\n", len(p.BodyBytes))
		return
	}
	fmt.Fprintf(b, "   %s\n", harmless(*p.Body))
}

// harmless is text on one line without what a terminal would take for commands.
func harmless(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) {
		return text
	}
	return strconv.Quote(text)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
