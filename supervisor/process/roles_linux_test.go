package process_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/magne-actors/magne-actors/internal/wire"
)

// play makes this process a worker, which is as good or as bad as its role says.
func play(role string) error {
	w := &badWorker{faults: faults(), in: os.NewFile(wire.FdIn, "in"), out: os.NewFile(wire.FdOut, "out")}
	w.w = wire.NewWriter(w.out, wire.Limits{})
	hello := wire.Frame{
		Type: wire.Hello, Proto: wire.Proto, Concurrency: 1, Tasks: []string{"ok", "hang"},
		Caps: []string{wire.CapCancel, wire.CapBeat}, SDK: "test/1", PID: os.Getpid(),
	}
	switch role {
	case "worker":
	case "several":
		hello.Concurrency = 3
	case "no hello":
		w.say(wire.Frame{Type: wire.Step, Message: "loading the model"})
		select {}
	case "too old":
		hello.Proto = 99
	case "knows nothing":
		hello.Tasks = []string{"else"}
	case "talks too early":
		w.say(wire.Frame{Type: wire.Log, Message: "good morning"})
		select {}
	case "dies at import":
		w.say(wire.Frame{Type: wire.Step, Message: "import"})
		fmt.Fprintln(os.Stderr, "ImportError: smtplib2")
		syscall.Exit(1) // os.Exit has a last word with -cover
	case "dies after hello":
		w.say(hello)
		os.Exit(3)
	case "deaf": // it reads nothing any more
		w.say(hello)
		select {}
	case "early bye":
		w.say(hello)
		w.say(wire.Frame{Type: wire.Bye, Reason: "memory"})
		return w.serve()
	case "drains for ever":
		signal.Ignore(syscall.SIGTERM)
		w.stubborn = true
	default:
		return fmt.Errorf("no role %q", role)
	}
	w.say(hello)
	return w.serve()
}

// badWorker does to the protocol what the names of its tasks say.
type badWorker struct {
	in, out  *os.File
	w        *wire.Writer
	stubborn bool
	faults   map[string]func(*badWorker, wire.Frame)
}

func (w *badWorker) say(f wire.Frame) {
	if err := w.w.Write(&f); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func (w *badWorker) serve() error {
	r := wire.NewReader(w.in, wire.Limits{})
	for {
		f, err := r.Next()
		if err != nil {
			return nil // the end
		}
		switch f.Type {
		case wire.Ping:
			w.say(wire.Frame{Type: wire.Pong, N: f.N})
		case wire.Drain:
			if !w.stubborn {
				return nil
			}
		case wire.Task:
			w.run(f)
		}
	}
}

func (w *badWorker) run(f wire.Frame) {
	var body struct{ Args []json.RawMessage }
	if err := json.Unmarshal(f.Body, &body); err != nil {
		panic(err)
	}
	ok := wire.Frame{Type: wire.OK, ID: f.ID}
	if bad := w.faults[f.Name]; bad != nil {
		bad(w, ok)
		return
	}
	switch f.Name {
	case "sleep":
		var ms int
		_ = json.Unmarshal(body.Args[0], &ms)
		<-time.After(time.Duration(ms) * time.Millisecond)
	case "env":
		w.say(wire.Frame{Type: wire.Error, ID: f.ID, Message: strings.Join(os.Environ(), "\n")})
		return
	case "frame":
		w.say(wire.Frame{Type: wire.Error, ID: f.ID, Kind: "frame", Message: fmt.Sprintf("%s %s %s attempt %d %v %q", f.Name, f.ContentType, f.Body, f.Attempt, f.Deadline > 0, f.Header)})
		return
	case "progress":
		for i := range 1000 {
			w.say(wire.Frame{Type: wire.Progress, ID: f.ID, Percent: float64(i) / 10, Message: "page"})
		}
	case "logs":
		w.say(wire.Frame{Type: wire.Log, ID: f.ID, Level: "warning", Message: "the password is hunter22", Fields: []byte(`{"page":4}`)})
		fmt.Println(`{"level":"error","msg":"json line","n":1}`)
	case "print":
		for i := range 1000 {
			fmt.Println("line", i)
			fmt.Fprintln(os.Stderr, "line", i)
		}
	case "future":
		w.say(wire.Frame{Type: "metrics", Body: []byte("of a later version")})
	case "bye":
		w.say(wire.Frame{Type: wire.Bye, Reason: "memory"})
	case "grow":
		grow()
	}
	w.say(ok)
}

var ballast []byte

func grow() {
	ballast = slices.Grow(ballast, 200<<20)[:200<<20]
	for i := 0; i < len(ballast); i += 4096 {
		ballast[i] = 1
	}
}

// faults are what tasks do wrong.
func faults() map[string]func(w *badWorker, ok wire.Frame) {
	hang := func() { select {} }
	raw := func(text string) func(*badWorker, wire.Frame) {
		return func(w *badWorker, _ wire.Frame) {
			_, _ = w.out.WriteString(text)
			hang()
		}
	}
	return map[string]func(*badWorker, wire.Frame){
		"garbage":  raw("\x00\xff what is this\n"),
		"not JSON": raw("Traceback (most recent call last):\n"),
		"long header": func(w *badWorker, ok wire.Frame) {
			raw(`{"t":"ok","x":"`+strings.Repeat("x", 10<<20))(w, ok)
		},
		"long body": raw(`{"t":"ok","id":1,"len":1073741824}` + "\n"),
		"half a frame": func(w *badWorker, _ wire.Frame) {
			_, _ = w.out.WriteString(`{"t":"ok",`)
			w.out.Close()
			hang()
		},
		"half a body": func(w *badWorker, _ wire.Frame) {
			_, _ = w.out.WriteString(`{"t":"ok","id":1,"len":100}` + "\nabc")
			w.out.Close()
			hang()
		},
		"unknown id": func(w *badWorker, ok wire.Frame) {
			ok.ID += 1000
			w.say(ok)
			hang()
		},
		"second hello": func(w *badWorker, _ wire.Frame) {
			w.say(wire.Frame{Type: wire.Hello, Proto: wire.Proto})
			hang()
		},
		"two replies": func(w *badWorker, ok wire.Frame) {
			w.say(ok)
			w.say(ok)
			hang()
		},
		"closes its pipe": func(w *badWorker, _ wire.Frame) {
			w.out.Close()
			hang()
		},
		"stops":       func(*badWorker, wire.Frame) { _ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) },
		"dies":        func(*badWorker, wire.Frame) { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL); hang() },
		"exits":       func(*badWorker, wire.Frame) { os.Exit(0) },
		"says a half": func(w *badWorker, _ wire.Frame) { _, _ = w.out.WriteString(`{"t":"o`); os.Exit(1) },
		"grows and grows": func(*badWorker, wire.Frame) {
			grow()
			hang()
		},
		"hangs": func(*badWorker, wire.Frame) {
			signal.Ignore(syscall.SIGTERM)
			hang()
		},
		"hangs with a family": func(*badWorker, wire.Frame) {
			signal.Ignore(syscall.SIGTERM)
			cmd := exec.Command("setsid", "sleep", "1000")
			cmd.Env = os.Environ()
			if err := cmd.Start(); err != nil {
				panic(err)
			}
			hang()
		},
	}
}
