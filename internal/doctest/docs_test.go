package doctest

import (
	"context"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/config"
	"github.com/magne-actors/magne-actors/supervisor"
)

// quickstart is the configuration that the documents run.
const quickstart = "examples/quickstart/magne.yaml"

func TestReadme(t *testing.T) {
	if n := strings.Count(read(t, "README.md"), "\n"); n >= 200 {
		t.Errorf("README.md has %d lines, more than a reader has patience for: 200", n)
	}
	r := reader{t: t, w: newEmbeddedWorld(t), settled: 1 + 500 + 1} // from the command line and from Python
	r.document("README.md")
}

// The configurations in documents that are not run are right, too.
func TestYAMLOfDocuments(t *testing.T) {
	checked := 0
	for _, doc := range documents(t) {
		for _, f := range fences(t, doc) {
			if f.lang == "yaml" && strings.HasPrefix(f.text, "version:") {
				(&reader{t: t}).yaml(f)
				checked++
			}
		}
	}
	if checked < 4 {
		t.Errorf("%d configurations are found: is the pattern right?", checked)
	}
}

func TestOperations(t *testing.T) {
	// One task that is unknown; after it was given another chance, too.
	r := reader{t: t, w: newWorld(t), settled: 2, dead: 1}
	r.document("docs/operations.md")
	if got := take(t, r.w, amqp.DeadQueue("work")).Headers["x-reason"]; got != "unknown_task" {
		t.Errorf("x-reason = %v, want unknown_task", got)
	}
}

func TestTopologyDocument(t *testing.T) {
	r := reader{t: t, w: newWorld(t), settled: 1}
	r.document("docs/topology.md")
}

func TestDoctorDocument(t *testing.T) {
	r := reader{t: t, w: newEmbeddedWorld(t), settled: 1}
	r.document("docs/doctor.md")
}

func TestDelaysDocument(t *testing.T) {
	r := reader{t: t, w: newEmbeddedWorld(t), settled: 2} // the one in a second, and the late one
	r.document("docs/delays.md")
}

// reader does what a reader of a document does.
type reader struct {
	t       *testing.T
	w       *world
	service *daemon

	settled int64 // deliveries that the service must have settled in the end
	dead    int   // dead letters that are there before Python scripts and dlq, and in the end
}

// document goes through the blocks of a file, and stops the service in the end.
func (r *reader) document(file string) {
	commands := 0
	for _, f := range fences(r.t, file) {
		if !r.block(f) {
			r.t.Errorf("%s:%d: a block of a kind that nobody checks: %q %q", f.file, f.line, f.lang, f.word)
		}
		if f.lang == "sh" {
			commands++
		}
	}
	if commands == 0 || r.service == nil {
		r.t.Fatalf("%s has %d blocks of commands, and starts no service: %v", file, commands, r.service)
	}
	var n *supervisor.Node
	until(r.t, "everything is settled", func() bool {
		n = find(r.w.tree(r.t, quickstart), "router:work")
		return *n.Settled >= r.settled && *n.InFlight == 0
	})
	if *n.Settled != r.settled || ready(r.t, r.w, amqp.DeadQueue("work")) != r.dead {
		r.t.Errorf("%d settled, %d dead letters, want %d and %d", *n.Settled, ready(r.t, r.w, amqp.DeadQueue("work")), r.settled, r.dead)
	}
	r.service.stop()
}

// block reports whether the block is of a kind that can be checked.
func (r *reader) block(f fence) bool {
	switch f.lang + " " + f.word {
	case "sh ":
		r.shell(f)
	case "sh service":
		r.serve(f)
	case "sh make":
		r.targets(f)
	case "python ":
		r.python(f)
	case "js ":
		r.js(f)
	case "text tree":
		r.picture(f)
	case "text ", "ini ":
	default:
		switch {
		case f.lang == "yaml":
			r.yaml(f)
		case (f.lang == "go" || f.lang == "python" || f.lang == "yml") && f.word != "":
			r.excerpt(f)
		default:
			return false
		}
	}
	return true
}

func (r *reader) command(name string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	r.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = r.w.env()
	return cmd
}

// succeed runs a block, and a failure says which.
func (r *reader) succeed(f fence, cmd *exec.Cmd) {
	r.t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("%s:%d: %v\n%s", f.file, f.line, err, out)
	}
	r.t.Logf("%s:%d:\n%s", f.file, f.line, out)
}

func (r *reader) shell(f fence) {
	if strings.Contains(f.text, "magne-actors dlq") {
		r.deadLetters()
	}
	r.succeed(f, r.command("bash", "-euo", "pipefail", "-c", f.text))
}

// deadLetters waits for what a block before has caused.
func (r *reader) deadLetters() {
	until(r.t, "the dead letters are there", func() bool { return ready(r.t, r.w, amqp.DeadQueue("work")) == r.dead })
}

// serve starts the one command of the block, and waits until it consumes.
func (r *reader) serve(f fence) {
	// The same program, built once; and `go run` would not hand on the signals.
	words := strings.Fields(strings.Replace(f.text, "go run ./cmd/magne-actors", "magne-actors", 1))
	if r.service != nil || strings.Count(f.text, "\n") != 1 || words[0] != "magne-actors" {
		r.t.Fatalf("%s:%d: want one command, and only one service in a document", f.file, f.line)
	}
	r.service = r.w.start(r.t, words[0], words[1:]...)
	r.service.awaitLog("consuming")
}

// targets checks that the Makefile has what `make` is called with.
func (r *reader) targets(f fence) {
	makefile := read(r.t, "Makefile")
	for line := range strings.Lines(f.text) {
		command, _, _ := strings.Cut(line, "#")
		words := strings.Fields(command)
		if len(words) != 2 || words[0] != "make" || !regexp.MustCompile(`(?m)^`+words[1]+`:.*## `).MatchString(makefile) {
			r.t.Errorf("%s:%d: not a call of a target that the Makefile explains: %s", f.file, f.line, line)
		}
	}
}

func (r *reader) python(f fence) {
	const debian = "/usr/bin/python3" // the one that sees Debian's modules
	if err := exec.Command(debian, "-c", "import pika").Run(); err != nil {
		r.t.Fatalf("python3-pika is missing (scripts/install-deps.sh): %v", err)
	}
	r.deadLetters()
	r.succeed(f, r.command(debian, "-c", f.text))
}

// js runs a script with the amqplib of NODE_PATH. There is none in Debian, so
// without it only the syntax is checked.
func (r *reader) js(f fence) {
	if _, err := exec.LookPath("node"); err != nil {
		r.t.Fatalf("%s:%d: node is missing (scripts/install-deps.sh): %v", f.file, f.line, err)
	}
	cmd := r.command("node", "--check", "-")
	if exec.Command("node", "-e", `require("amqplib")`).Run() == nil {
		cmd = r.command("node", "-")
		r.settled++
	}
	cmd.Stdin = strings.NewReader(f.text)
	r.succeed(f, cmd)
}

func (r *reader) yaml(f fence) {
	c, err := config.Parse(strings.NewReader(f.text), f.file, nil)
	if err != nil {
		r.t.Errorf("%s:%d: %v", f.file, f.line, err)
		return
	}
	for _, w := range c.Warnings() {
		r.t.Errorf("%s:%d: %v", f.file, f.line, w)
	}
	if f.word == "" {
		return
	}
	if diff := cmp.Diff(read(r.t, f.word), f.text); diff != "" {
		r.t.Errorf("%s:%d differs from %s (-file +document):\n%s", f.file, f.line, f.word, diff)
	}
}

// excerpt checks that the block is in the file, apart from its indentation.
func (r *reader) excerpt(f fence) {
	if !strings.Contains(trim(read(r.t, f.word)), "\n"+trim(f.text)) {
		r.t.Errorf("%s:%d: these are not lines of %s", f.file, f.line, f.word)
	}
}

// trim takes the indentation away.
func trim(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimSpace(line) + "\n")
	}
	return b.String()
}

// The Go code in the landing page is compiled as example_test.go.
func TestLandingPage(t *testing.T) {
	_, code, found := strings.Cut(read(t, "doc.go"), "a whole program:\n//\n")
	code, _, ended := strings.Cut(code, "//\n")
	if !found || !ended || !strings.Contains(trim(read(t, "example_test.go")), trim(strings.ReplaceAll(code, "//\t", ""))) {
		t.Errorf("doc.go shows other code than example_test.go has:\n%s", code)
	}
}

// picture compares the first words of the lines with the tree of the service.
func (r *reader) picture(f fence) {
	var drawn []string
	for line := range strings.Lines(f.text) {
		if words := strings.Fields(strings.TrimLeft(line, "|`- ")); len(words) > 0 {
			drawn = append(drawn, words[0])
		}
	}
	if diff := cmp.Diff(ids(r.w.tree(r.t, quickstart)), drawn); diff != "" {
		r.t.Errorf("%s:%d is another tree (-running +document):\n%s", f.file, f.line, diff)
	}
}

// ids are those of a tree from top to bottom.
func ids(n *supervisor.Node) []string {
	all := []string{n.ID}
	for _, c := range n.Children {
		all = slices.Concat(all, ids(c))
	}
	return all
}
