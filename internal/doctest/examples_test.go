package doctest

import (
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
)

// Each magne.yaml in examples passes `magne-actors check` without a warning. Those
// of library programs name no tasks, and that is all that is said against them.
func TestExamplesAreValid(t *testing.T) {
	if err := programs(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("examples/*/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("examples: %v, %v", files, err)
	}
	for _, file := range files {
		cmd := exec.Command(filepath.Join(bin, "magne-actors"), "check", "-c", file)
		cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")} // it looks for the workers' programs
		out, err := cmd.CombinedOutput()
		if _, lib := os.Stat(filepath.Join(filepath.Dir(file), "main.go")); lib == nil {
			if !strings.Contains(string(out), "no task") || !strings.Contains(string(out), " 1 error ") {
				t.Errorf("check -c %s: want one error, about tasks; got\n%s", file, out)
			}
		} else if err != nil || strings.Contains(string(out), "warning") {
			t.Errorf("check -c %s: %v\n%s", file, err, out)
		}
	}
}

// TestReadme and TestOperations run examples/quickstart; here is what they do not
// use: the HTTP task, without a server. Its next attempt does not hold up the
// stop, and stays in the queue.
func TestQuickstartStopsWithARetryWaiting(t *testing.T) {
	w := newWorld(t)
	d := w.start(t, "magne-actors", "run", "-c", quickstart, "--log-level", "debug")
	d.awaitLog("consuming")
	w.run(t, "magne-actors", "publish", "-c", quickstart, "notify", "1")
	d.awaitLog("attempt failed")
	d.stop()
	if attempt := take(t, w, "work").Headers["x-attempt"]; attempt != int64(2) {
		t.Errorf("x-attempt of what is left = %v, want 2", attempt)
	}
}

func TestEmbed(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
	}{
		{"library", nil},
		{"yaml", []string{"-c", "examples/embed/magne.yaml"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			in, out := filepath.Join(w.tmp, "in.png"), filepath.Join(w.tmp, "out.png")
			writePicture(t, in, 64, 32)
			if err := os.WriteFile(filepath.Join(w.tmp, "text.png"), []byte("no picture"), 0o600); err != nil {
				t.Fatal(err)
			}
			d := w.start(t, "embed", tt.args...)
			d.awaitLog("consuming")
			publish := func(args ...string) {
				w.run(t, "magne-actors", append([]string{"publish", "--url", w.url, "--queue", "resize", "resize"}, args...)...)
			}
			publish(in, out, "16")
			d.awaitLog("outcome=done")
			if got := size(t, out); got != image.Pt(16, 8) {
				t.Errorf("the small picture is %v, want 16x8", got)
			}
			publish(filepath.Join(w.tmp, "text.png"), out, "16")
			publish(in, out, "wide")
			publish(filepath.Join(w.tmp, "missing.png"), out, "16")
			d.awaitLog("reason=max_snoozes") // that one was put off twice
			dead := map[string]int{}
			for range 3 {
				m := take(t, w, amqp.DeadQueue("resize"))
				reason, _ := m.Headers["x-reason"].(string)
				dead[reason]++
			}
			if dead["discarded"] != 2 || dead["max_snoozes"] != 1 {
				t.Errorf("dead letters by reason: %v, want 2 discarded and 1 max_snoozes", dead)
			}
			d.stop()
		})
	}
}

// TestPublish: to the broker, or without one to the disk.
func TestPublish(t *testing.T) {
	w := newWorld(t)
	d := w.start(t, "magne-actors", "run", "-c", quickstart) // declares the queue
	d.awaitLog("consuming")
	d.stop()
	publish := func(url string, args ...string) string {
		cmd := exec.CommandContext(t.Context(), w.path("publish"), args...)
		cmd.Env, cmd.Stdin = append(w.env(), "AMQP_URL="+url), strings.NewReader("Ada\nGrace\n")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("publish %v: %v", args, err)
		}
		return string(out)
	}
	if out := publish(w.url); !strings.Contains(out, "2 confirmed, 0 in the spool") {
		t.Error(out)
	}
	spool := filepath.Join(w.tmp, "spool")
	if out := publish("amqp://127.0.0.1:1/", "-spool", spool); !strings.Contains(out, "0 confirmed, 2 in the spool") {
		t.Error(out)
	}
	w.run(t, "magne-actors", "spool", "flush", "--url", w.url, "--spool-dir", spool)
	bodies := map[string]int{}
	for range 4 {
		var m struct{ Args []string }
		if err := json.Unmarshal(take(t, w, "work").Body, &m); err != nil || len(m.Args) != 1 {
			t.Fatal(m, err)
		}
		bodies[m.Args[0]]++
	}
	if bodies["Ada"] != 2 || bodies["Grace"] != 2 {
		t.Errorf("tasks: %v, want two of each", bodies)
	}
}

func writePicture(t *testing.T, path string, width, height int) {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, width, height))
	m.Set(1, 1, color.White)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(f, m); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func size(t *testing.T, path string) image.Point {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := png.DecodeConfig(f)
	if err != nil {
		t.Fatal(err)
	}
	return image.Pt(m.Width, m.Height)
}

// take acks one message of an existing queue.
func take(t *testing.T, w *world, queue string) *broker.Delivery {
	t.Helper()
	s, c := consume(t, w, queue)
	defer func() { _ = s.Close(t.Context()) }()
	d, ok := <-c.Deliveries()
	if !ok {
		t.Fatalf("%s: %v", queue, c.Err())
	}
	if err := c.Settle(d.Tag, broker.Ack); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

func consume(t *testing.T, w *world, queue string) (broker.Session, broker.Consumer) {
	t.Helper()
	s, err := amqp.Dialer{URL: w.url}.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Consume(t.Context(), broker.Source{Queue: broker.Queue{Name: queue, Declare: broker.DeclarePassive}, Credit: 1})
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

// ready is how many messages wait in an existing queue.
func ready(t *testing.T, w *world, queue string) int {
	t.Helper()
	conn, err := amqp091.Dial(w.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return q.Messages
}
