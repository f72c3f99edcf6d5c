package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/internal/testenv"
)

// TestDelay runs everything for real, with few messages.
func TestDelay(t *testing.T) {
	testenv.RabbitMQ(t) // ends the test without one
	var out, errOut bytes.Buffer
	if code := run(t.Context(), []string{delayArg, "-n", "50", "-runs", "1", "-o", "json"}, &out, &errOut); code != exitOK {
		t.Fatalf("exit status %d, want 0:\n%s", code, &errOut)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d lines on stdout, want 4:\n%s", len(lines), &out)
	}
	for i, line := range lines {
		var r delayRow
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r.N != 50 || len(r.Runs) != 1 || r.Seconds <= 0 || i == 0 && r.RetryShare != nil {
			t.Errorf("got %s", line)
		}
	}
	if !strings.Contains(errOut.String(), "broker us/retry") {
		t.Errorf("stderr has no table:\n%s", &errOut)
	}
}

func TestShare(t *testing.T) {
	if s := share(1, 4); s == nil || *s != 0.25 {
		t.Errorf("1 of 4: got %v", s)
	}
	for _, theirs := range []float64{0, -1} {
		if s := share(1, theirs); s != nil {
			t.Errorf("1 of %v: got %v, want none", theirs, *s)
		}
	}
}

func TestDelayUsage(t *testing.T) {
	for _, args := range [][]string{{"-n", "0"}, {"-runs", "0"}, {"-o", "xml"}, {"more"}} {
		var out, errOut bytes.Buffer
		if code := run(t.Context(), append([]string{delayArg}, args...), &out, &errOut); code != exitUsage {
			t.Errorf("%v: exit status %d, want %d", args, code, exitUsage)
		}
	}
}

func TestBinaryRoute(t *testing.T) {
	exchange, key := binaryRoute(2*time.Second, "q")
	if want := strings.Repeat("0.", 23) + "1.0.0.0.0.q"; exchange != binaryName(4) || key != want {
		t.Errorf("got %s %s, want %s %s", exchange, key, binaryName(4), want)
	}
}
