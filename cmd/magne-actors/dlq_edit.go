package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/internal/dlq"
)

// edited is what dlq edit prints with -o json.
type edited struct {
	Queue   string `json:"queue"`
	ID      string `json:"id"` // of the edited letter
	Changed bool   `json:"changed"`
}

func newDlqEditCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "edit POOL ID",
		Short: "Change a dead letter",
		Long: "edit opens a dead letter as JSON in $VISUAL or $EDITOR: its properties, its headers with their types,\n" +
			"and its body. When that has changed, the edited copy is published to the same queue of dead letters,\n" +
			"and the old one removed when the broker has confirmed it; `dlq replay` runs it then. Nothing is changed\n" +
			"when the editor fails, or when the letter is no longer there as it was: the edited file is kept then.",
		Example: "  magne-actors dlq edit work 7c9e6679-7425-40de-944b-e07fc1f90ae7\n" +
			"  EDITOR='sed -i s/widht/width/' magne-actors dlq edit work 7",
		Args: exactly("a pool", "the id of a dead letter"),
	}
	f := addDeadFlags(cmd, moveLimit, moveTimeout)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var q deadQueue
		var old []byte
		err := e.withDead(cmd, f, func(ctx context.Context, g *graveyard) (err error) {
			if q, err = g.find(args[0], f.asIs); err != nil {
				return err
			}
			old, err = g.only(ctx, q, args[1])
			return err
		})
		if err != nil {
			return err
		}
		file, text, err := e.inEditor(cmd.Context(), old)
		if err != nil {
			return err
		}
		out := edited{Queue: q.Name, ID: args[1]}
		if bytes.Equal(text, old) {
			_ = os.Remove(file) // it is in a directory for such files
			return e.print(out, "not changed\n")
		}
		d, err := dlq.Decode(text)
		if err != nil {
			return failed(exitError, fmt.Errorf("the edited letter: %w", err), "nothing was changed; your text is in %s", file)
		}
		out.ID, out.Changed = dlq.IDOf(d), true
		err = e.withDead(cmd, f, func(ctx context.Context, g *graveyard) error { return g.exchange(ctx, q, args[1], old, d) })
		if err != nil {
			fmt.Fprintf(e.stderr, "your text is in %s\n", file)
			return err
		}
		_ = os.Remove(file)
		return e.print(out, fmt.Sprintf("changed dead letter %s in %s\n", printable(out.ID), printable(q.Name)))
	}
	return cmd
}

// only returns the one letter that has the id, as text.
func (g *graveyard) only(ctx context.Context, q deadQueue, id string) ([]byte, error) {
	var text []byte
	found := 0
	_, err := g.scan(ctx, q.Name, func(_ *amqp.Taking, d *broker.Delivery, l *dlq.Letter) (err error) {
		if l.ID != id {
			return nil
		}
		if l.Unreadable {
			return fmt.Errorf("message %q: %w", id, dlq.ErrUnreadable)
		}
		found++
		text, err = dlq.EncodeText(d)
		return err
	}, nil)
	switch {
	case err != nil:
		return nil, unmoved(err)
	case found == 0:
		return nil, failed(exitError, fmt.Errorf("no dead letter %q in %s", id, printable(q.Name)), "`magne-actors dlq show` shows what is there")
	case found > 1:
		return nil, failed(exitError, fmt.Errorf("%d dead letters in %s have the id %q", found, printable(q.Name), id),
			"only one can be edited: export them, and import what they should be")
	}
	return text, nil
}

// inEditor has a person change a text, and returns the file and what is in it then.
func (e *env) inEditor(ctx context.Context, text []byte) (name string, changed []byte, err error) {
	f, err := os.CreateTemp("", "dead-letter-*.json") // mode 0600
	if err != nil {
		return "", nil, err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", nil, err
	}
	// An interrupt from the keyboard is for the editor.
	_, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	editor := cmp.Or(os.Getenv("VISUAL"), os.Getenv("EDITOR"), "vi")
	cmd := exec.CommandContext(ctx, "sh", "-c", editor+` "$1"`, "sh", f.Name()) // it may have arguments
	cmd.Stdin, cmd.Stdout, cmd.Stderr = e.stdin, e.stdout, e.stderr
	if e.json() {
		cmd.Stdout = e.stderr
	}
	if err := cmd.Run(); err != nil {
		return "", nil, failed(exitError, fmt.Errorf("editor %q: %w", editor, err), "nothing was changed; $VISUAL or $EDITOR names another; the text is in %s", f.Name())
	}
	changed, err = os.ReadFile(f.Name())
	return f.Name(), changed, err
}

// exchange publishes a letter in the place of the one that is still as it was in old,
// and then removes that.
func (g *graveyard) exchange(ctx context.Context, q deadQueue, id string, old []byte, d *broker.Delivery) error {
	p, err := dlq.Copy(d, q.Name)
	if err != nil {
		return err
	}
	session, err := g.dial.Dial(ctx)
	if err != nil {
		return unreachable(g.file, err)
	}
	defer session.Close(g.ctx) //nolint:errcheck,contextcheck // every confirm that matters is in, and this outlasts the command
	m := newMover(session, &pace{}, nil)
	found := false
	_, err = g.scan(ctx, q.Name, func(t *amqp.Taking, d *broker.Delivery, l *dlq.Letter) error {
		if found || l.ID != id {
			return nil
		}
		if text, err := dlq.EncodeText(d); err != nil || !bytes.Equal(text, old) {
			return err
		}
		found, m.confirmed = true, t.Ack
		return m.publish(ctx, d.Tag, p)
	}, func(_ *amqp.Taking, err error) error { return m.finish(g.ctx, err) })
	if err == nil && !found {
		return failed(exitError, fmt.Errorf("dead letter %q is no longer in %s as it was", id, printable(q.Name)), "nothing was changed: somebody else has it, or has changed it")
	}
	return unmoved(err)
}
