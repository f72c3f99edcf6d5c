package main

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/magne-actors/magne-actors/internal/doctor"
)

// TestDoctorTriesEachAddress, and shows no password.
func TestDoctorTriesEachAddress(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil { // nobody listens there any more
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "magne.yaml")
	text := `{version: 1, broker: {urls: ["amqp://a:hunter2@ADDRESS/one", "amqp://b:hunter2@ADDRESS/two"]}, pools: {p: {tasks: {t: {builtin: echo}}}}}`
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "ADDRESS", address)), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	code := run(t.Context(), []string{"doctor", "-c", file, "-o", "json"}, strings.NewReader(""), &out, &errOut)
	if code != exitUnreachable || strings.Contains(out.String()+errOut.String(), "hunter2") {
		t.Fatalf("exit status %d, want %d:\n%s%s", code, exitUnreachable, &out, &errOut)
	}
	var d diagnosis
	if err := json.Unmarshal(out.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, f := range d.Findings {
		if f.Check == "reachable" && f.Severity == doctor.Error && strings.Contains(f.What, "refused") && f.Path == "broker.urls" {
			refused++
		}
	}
	if refused != 2 {
		t.Errorf("%d addresses refused, want 2:\n%s", refused, &out)
	}
}
