package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// Eval evaluates Erlang expressions, separated by commas, in the node, and
// returns what the last one is. It blocks until they are evaluated or ctx ends.
//
// Unlike Ctl, which boots an Erlang VM for each command, it takes milliseconds
// where Erlang's erl_call is installed. An expression that fails is an error, and so
// is one whose value begins with error.
func (n *Node) Eval(ctx context.Context, expressions string) (string, error) {
	text := strings.TrimRight(strings.TrimSpace(expressions), ".") + "."
	program, err := exec.LookPath("erl_call")
	if err != nil {
		out, err := n.Ctl(ctx, "eval", text)
		return strings.TrimSpace(out), err
	}
	var out []byte
	for range evalTries {
		if out, err = n.call(ctx, program, text); err == nil || !bytes.Contains(out, []byte("failed to connect")) {
			break
		}
	}
	if err != nil {
		return "", fmt.Errorf("testenv: erl_call: %w: %s", err, bytes.TrimSpace(out))
	}
	// erl_call writes {ok, VALUE} or {error, {Class, Reason}}.
	value, ok := strings.CutPrefix(string(bytes.TrimSpace(out)), "{ok, ")
	value = strings.TrimSuffix(value, "}")
	if !ok || strings.HasPrefix(value, "{error") || strings.HasPrefix(value, "{'EXIT'") {
		return "", fmt.Errorf("testenv: eval %s: %s", text, bytes.TrimSpace(out))
	}
	return value, nil
}

// evalTries is how often erl_call may fail to connect, which happens before it asks for
// anything.
const evalTries = 5

// call runs erl_call. The name of its hidden node is its own: a node refuses one that it
// believes to be connected already, and may not have seen off the one before. (Its flag
// for random names, -r, makes them of the second that it is.)
func (n *Node) call(ctx context.Context, program, text string) ([]byte, error) {
	name := fmt.Sprintf("c%dx%d", os.Getpid(), n.calls.Add(1))
	cmd := exec.CommandContext(ctx, program, "-h", name, "-address", "localhost:"+strconv.Itoa(n.ports.dist), "-e")
	cmd.Env, cmd.Dir = n.env(), n.Dir
	cmd.Stdin = strings.NewReader(text + "\n")
	return cmd.CombinedOutput() //nolint:wrapcheck // Eval says what it is about
}

// Pause stops the node's process where it is, as kill -STOP does: its sockets
// stay open and nobody answers. Resume lets it go on.
func (n *Node) Pause() error { return n.signal(sigStop) }

// Resume ends a Pause.
func (n *Node) Resume() error { return n.signal(sigCont) }

func (n *Node) signal(sig syscall.Signal) error {
	if n.run == nil {
		return errors.New("testenv: the node is down")
	}
	if err := kill(n.run.beam, sig); err != nil {
		return fmt.Errorf("testenv: signal the node: %w", err)
	}
	return nil
}
