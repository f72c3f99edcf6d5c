package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/magne-actors/magne-actors/config"
)

func TestSecretIsNotShown(t *testing.T) {
	const text = "hunter2"
	f := &config.File{Broker: config.Broker{URL: text}}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "url", f.Broker.URL, "broker", f.Broker)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "url", f.Broker.URL, "broker", f.Broker)
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	shown.WriteString(log.String() + string(b))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
		fmt.Fprintf(&shown, verb+verb, f.Broker.URL, f.Broker)
	}
	if strings.Contains(shown.String(), text) || strings.Contains(strings.ToLower(shown.String()), fmt.Sprintf("%x", text)) {
		t.Errorf("shown: %s", shown.String())
	}
	if !strings.Contains(shown.String(), "[secret]") || f.Broker.URL.Reveal() != text {
		t.Errorf("neither hidden nor kept: %s", shown.String())
	}
}

func TestAddress(t *testing.T) {
	for url, want := range map[string]string{
		"amqp://u:hunter2@host:5672/%2Fv?cacertfile=x": "amqp://host:5672/%2Fv",
		"amqp://host":       "amqp://host",
		"amqp://u:hun%ter2": "[secret]",
	} {
		if got := (config.Broker{URL: config.Secret(url)}).Address(); got != want {
			t.Errorf("Address of %q: got %q, want %q", url, got, want)
		}
	}
	if got := (config.Broker{Embedded: config.Embedded{Listen: "[::1]:1"}}).Address(); got != "embedded at [::1]:1" {
		t.Errorf("Address of the embedded broker: got %q", got)
	}
}
