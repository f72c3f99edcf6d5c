package wire_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
	"github.com/magne-actors/magne-actors/internal/testenv"
)

// askRabbit returns what RabbitMQ's own code answers to each line; see
// testdata/rabbit.escript. The test is skipped where RabbitMQ is not installed, except in CI.
func askRabbit(t *testing.T, lines []string) []string {
	t.Helper()
	dirs, err := filepath.Glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*/plugins/rabbit_common-*/ebin")
	if err != nil {
		t.Fatal(err)
	}
	if len(dirs) == 0 {
		testenv.Missing(t, "Debian's rabbitmq-server is missing")
	}
	cmd := exec.CommandContext(t.Context(), testenv.Program(t, "escript"), filepath.Join("testdata", "rabbit.escript"), dirs[0])
	cmd.WaitDelay = 10 * time.Second
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("escript: %v\n%s", err, stderr.String())
	}
	answers := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(answers) != len(lines) {
		t.Fatalf("%d answers to %d lines", len(answers), len(lines))
	}
	return answers
}

// TestAsRabbitMQ: what we write, RabbitMQ reads, and writes in the same way.
func TestAsRabbitMQ(t *testing.T) {
	const each = 10
	var lines, want []string
	add := func(b []byte, format string, args ...any) {
		lines = append(lines, fmt.Sprintf(format, args...)+" "+hex.EncodeToString(b))
		want = append(want, hex.EncodeToString(b))
	}
	for _, m := range allMethods() {
		if len(wire.AppendMethod(nil, m)) == 4 {
			continue // no arguments
		}
		class, method := m.ID()
		filled := rapid.Custom(func(t *rapid.T) []byte {
			rapid.Bool().Draw(t, "any") // a Custom that draws nothing is refused
			fill(t, m)
			return wire.AppendMethod(nil, m)[4:]
		})
		for i := range each {
			add(filled.Example(i), "method %d %d", class, method)
		}
	}
	for i := range 20 * each {
		raw, err := allProperties().Example(i).AppendRaw(nil)
		if err != nil {
			t.Fatal(err)
		}
		add(raw, "properties")
		fields, err := wire.AppendTable(nil, tables(4).Example(i))
		if err != nil {
			t.Fatal(err)
		}
		if len(fields) > 0 {
			add(fields, "table")
		}
	}
	for i, got := range askRabbit(t, lines) {
		if got != want[i] {
			t.Errorf("%s\nRabbitMQ: %s", lines[i], got)
		}
	}
}

// TestArgumentsAsRabbitMQ: Equal and Inequivalence agree with RabbitMQ's check of the
// arguments of a declared queue, for each pair of these.
func TestArgumentsAsRabbitMQ(t *testing.T) {
	values := []any{
		int8(5), uint8(5), int16(5), uint16(5), int32(5), uint32(5), int64(5), int64(-5), int64(1 << 40),
		float32(5), 5.0, 0.5, float32(0.5), 1e22, 1e10, 123456.789, 1e-7, -2.5e300, 1e15, 123456789012345680.0, 1e5, 0.001, 1234567.0,
		"5", []byte("5"), "",
		[]byte{},
		"lazy", true, false, nil,
		time.Unix(5, 0), time.Unix(-1, 0), // no decimals, which RabbitMQ cannot write
	}
	var tables []wire.Table
	var encoded []string
	for _, v := range values {
		table := wire.Table{"k": v}
		fields, err := wire.AppendTable(nil, table)
		if err != nil {
			t.Fatal(err)
		}
		tables, encoded = append(tables, table), append(encoded, hex.EncodeToString(fields))
	}
	// None, as a table without the field.
	tables, encoded = append(tables, wire.Table{"l": nil}), append(encoded, "016c56")

	var lines, want []string
	for i, old := range tables {
		for j, now := range tables {
			lines = append(lines, "arguments "+encoded[i]+" "+encoded[j])
			want = append(want, verdict(old, now))
		}
	}
	for i, got := range askRabbit(t, lines) {
		if got != want[i] {
			t.Errorf("%s\nRabbitMQ: %s\n    here: %s", lines[i], got, want[i])
		}
	}
}

// verdict is what a queue with the arguments old says to those of now.
func verdict(old, now wire.Table) string {
	difference := wire.Inequivalence("k", old, now)
	if difference == "" {
		return "equivalent"
	}
	return "inequivalent arg 'k' for queue 'q' in vhost '/': " + difference
}
