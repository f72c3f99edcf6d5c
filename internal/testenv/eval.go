package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
	// With a name of its own (-r) it is not taken for the one before, which the node may
	// not have seen off yet: it refuses a node that it believes to be connected.
	cmd := exec.CommandContext(ctx, program, "-r", "-address", "localhost:"+strconv.Itoa(n.ports.dist), "-e")
	cmd.Env, cmd.Dir = n.env(), n.Dir
	cmd.Stdin = strings.NewReader(text + "\n")
	out, err := cmd.CombinedOutput()
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
