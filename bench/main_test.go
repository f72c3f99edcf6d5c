package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/magne-actors/magne-actors/internal/testenv"
)

// TestMain lets the test binary be the measured child of its own tests.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == childArg {
		os.Exit(child(os.Stdin, os.Stdout, os.Stderr))
	}
	if len(os.Args) == 3 && os.Args[1] == brokerChildArg {
		os.Exit(brokerChild(os.Args[2], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(testenv.Main(m).Run())
}

// TestNoop runs everything for real, with few messages.
func TestNoop(t *testing.T) {
	var out, errOut bytes.Buffer
	args := []string{"noop", "-n", "300", "-runs", "2", "-high", "40", "-low", "10", "-o", "json", "-url", testenv.RabbitMQ(t)}
	if code := run(t.Context(), args, &out, &errOut); code != exitOK {
		t.Fatalf("exit status %d, want 0:\n%s", code, &errOut)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines on stdout, want one for each system:\n%s", len(lines), &out)
	}
	for i, system := range []string{systemRaw, systemActors} {
		var r row
		if err := json.Unmarshal([]byte(lines[i]), &r); err != nil {
			t.Fatal(err)
		}
		if r.System != system || r.N != 300 || len(r.Runs) != 2 {
			t.Errorf("row %d is of %s, n %d, %d runs; want %s, 300, 2", i, r.System, r.N, len(r.Runs), system)
		}
		if r.MsgsPerS <= 0 || r.ClientCPU <= 0 || r.PeakRSSMiB <= 0 || r.RatioToRaw == nil || *r.RatioToRaw <= 0 {
			t.Errorf("%s: a figure is missing: %s", system, lines[i])
		}
		if r.PeakInFlight < 1 || r.PeakInFlight > 40 {
			t.Errorf("%s: peak in flight %d, want 1 to 40", system, r.PeakInFlight)
		}
	}
	if !strings.Contains(errOut.String(), "client us/msg") {
		t.Errorf("stderr has no table:\n%s", &errOut)
	}
}

// TestPlain runs everything for real, with few messages.
func TestPlain(t *testing.T) {
	var out, errOut bytes.Buffer
	args := []string{"noop", "-vs", "plain", "-n", "300", "-runs", "2", "-high", "40", "-o", "json", "-url", testenv.RabbitMQ(t)}
	if code := run(t.Context(), args, &out, &errOut); code != exitOK {
		t.Fatalf("exit status %d, want 0:\n%s", code, &errOut)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines on stdout, want one for each system:\n%s", len(lines), &out)
	}
	for i, system := range []string{systemPlain, systemRetries, systemSpool} {
		var r row
		if err := json.Unmarshal([]byte(lines[i]), &r); err != nil {
			t.Fatal(err)
		}
		if r.System != system || r.N != 300 || len(r.Runs) != 2 || r.PeakInFlight < 1 || r.PeakInFlight > 40 {
			t.Errorf("row %d, want %s: %s", i, system, lines[i])
		}
		if r.RatioToPlain == nil || *r.RatioToPlain <= 0 || r.CPURatioToPlain == nil || r.RatioToRaw != nil || i == 0 && *r.RatioToPlain != 1 {
			t.Errorf("%s: a ratio is missing or wrong: %s", system, lines[i])
		}
	}
	if !strings.Contains(errOut.String(), "x plain") {
		t.Errorf("stderr has no table:\n%s", &errOut)
	}
}

func TestNoBroker(t *testing.T) {
	var out, errOut bytes.Buffer
	code := run(t.Context(), []string{"noop", "-url", "amqp://guest:secret@127.0.0.1:1/"}, &out, &errOut)
	if code != exitUnreachable {
		t.Errorf("exit status %d, want %d:\n%s", code, exitUnreachable, &errOut)
	}
	if strings.Contains(errOut.String(), "secret") {
		t.Errorf("the password is in the error: %s", &errOut)
	}
}

// A child must say why it failed, and not leave its parent with "it died".
func TestChildFails(t *testing.T) {
	j := &job{System: systemRaw, Scenario: "noop", URL: "amqp://guest:secret@127.0.0.1:1/", Queue: "q", N: 1, High: 1}
	_, err := spawn(t.Context(), j, func(int64) {})
	if err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v, want that the connection was refused", err)
	}
	if err != nil && strings.Contains(err.Error(), "secret") {
		t.Errorf("the password is in the error: %v", err)
	}
}

func TestListen(t *testing.T) {
	for _, c := range []struct{ name, out, want string }{
		{"sample", `{"Settled":3}` + "\n" + `{"Sample":{"seconds":2}}`, ""},
		{"error", `{"Err":"no luck"}`, "no luck"},
		{"noise", "panic: help", `printed "panic: help"`},
		{"end", `{"Settled":3}`, "died"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := listen(strings.NewReader(c.out), func(int64) {})
			if c.want == "" {
				if err != nil || s.Seconds != 2 {
					t.Errorf("got %v, %v, want 2 seconds", s, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

var errDisk = errors.New("disk full")

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errDisk }

func TestPrintReportsAFullDisk(t *testing.T) {
	rows := []row{{System: systemRaw, Scenario: "noop"}}
	for _, output := range []string{"text", "json"} {
		if err := print(rows, output, table, brokenWriter{}, new(bytes.Buffer)); !errors.Is(err, errDisk) {
			t.Errorf("-o %s: got %v, want %v", output, err, errDisk)
		}
	}
}

// TestBrokers runs everything for real, with few messages.
func TestBrokers(t *testing.T) {
	testenv.RabbitMQ(t) // skips without one
	var out, errOut bytes.Buffer
	args := []string{"brokers", "-n", "500", "-runs", "1", "-queued", "300", "-o", "json"}
	if code := run(t.Context(), args, &out, &errOut); code != exitOK {
		t.Fatalf("exit status %d, want 0:\n%s", code, &errOut)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines on stdout, want one for each system:\n%s", len(lines), &out)
	}
	for i, system := range []string{systemClassic, systemQuorum, systemEmbedded} {
		var r brokerRow
		if err := json.Unmarshal([]byte(lines[i]), &r); err != nil {
			t.Fatal(err)
		}
		if r.System != system || r.N != 500 || len(r.Runs) != 1 || r.Queued != 300 {
			t.Errorf("row %d: %s", i, lines[i])
		}
		for _, figure := range []float64{r.PublishPerS, r.ConsumePerS, r.PublishTimes, r.ConsumeTimes, r.StartMS, r.QueuedRSSMiB, r.QueuedStartMS} {
			if figure <= 0 {
				t.Errorf("%s: a figure is missing: %s", system, lines[i])
			}
		}
	}
	if !strings.Contains(errOut.String(), "with 300 messages queued") {
		t.Errorf("stderr has no table:\n%s", &errOut)
	}
}

// TestStop runs everything for real, with two processes.
func TestStop(t *testing.T) {
	testenv.Program(t, "python3")
	var out, errOut bytes.Buffer
	if code := run(t.Context(), []string{stopArg, "-workers", "2", "-runs", "2", "-o", "json"}, &out, &errOut); code != exitOK {
		t.Fatalf("exit status %d, want 0:\n%s", code, &errOut)
	}
	var r stopRow
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	if r.System != systemActors || r.Workers != 2 || len(r.Runs) != 2 || r.StopMS <= 0 {
		t.Errorf("got %s", &out)
	}
	if !strings.Contains(errOut.String(), "stop with 2 idle Python processes, median of 2") {
		t.Errorf("stderr has no table:\n%s", &errOut)
	}
}

func TestOwnFlagsRefuseNonsense(t *testing.T) {
	for _, args := range [][]string{
		{"brokers", "-n", "0"},
		{"brokers", "-runs", "0"},
		{"brokers", "-queued", "-1"},
		{"brokers", "-o", "xml"},
		{"brokers", "more"},
		{"brokers", "-nonsense"},
		{"delay", "-n", "0"},
		{"stop", "-workers", "0"},
	} {
		var out, errOut bytes.Buffer
		if code := run(t.Context(), args, &out, &errOut); code != exitUsage {
			t.Errorf("%v: exit status %d, want %d", args, code, exitUsage)
		}
	}
}
