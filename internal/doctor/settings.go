package doctor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ParseSettings reads what `rabbitmqctl environment --formatter json` prints. What is
// before the first brace is left out: without -q that is a heading.
func ParseSettings(text []byte) (*Settings, error) {
	begin := bytes.IndexByte(text, '{')
	if begin < 0 {
		return nil, errors.New("doctor: no JSON: write it with `rabbitmqctl -q environment --formatter json`")
	}
	var all struct {
		Rabbit map[string]any `json:"rabbit"`
	}
	if err := json.Unmarshal(text[begin:], &all); err != nil {
		return nil, fmt.Errorf("doctor: environment of the broker: %w", err)
	}
	if all.Rabbit == nil {
		return nil, errors.New("doctor: environment of the broker: it has no application rabbit")
	}
	return &Settings{
		ConsumerTimeout: duration(all.Rabbit, "consumer_timeout"),
		ConfirmTimeout:  duration(all.Rabbit, "dead_letter_worker_publisher_confirm_timeout"),
	}, nil
}

// duration is a number of milliseconds. A word, such as undefined or false, stands for
// none.
func duration(of map[string]any, key string) *time.Duration {
	switch v := of[key].(type) {
	case float64:
		return new(millis(v))
	case string, bool:
		return new(time.Duration(0))
	}
	return nil
}
