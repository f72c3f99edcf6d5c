package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/internal/dlq"
	"github.com/magne-actors/magne-actors/internal/ladder"
)

func newDlqCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dlq",
		Short: "Look at dead letters, and run them again",
		Long: "dlq works on the queues of dead letters, by AMQP and so alike on RabbitMQ and the embedded broker.\n" +
			"POOL is a pool of the configuration or its queue; with --url it is a queue whose dead letters are in\n" +
			"magne.v1.dead.QUEUE. With --as-is it is the name of the queue of dead letters itself.\n\n" +
			"To look at a message is to take it and to give it back. The broker has it all the time: a command\n" +
			"that is killed loses nothing. A classic queue and the embedded broker keep the order. A quorum queue\n" +
			"of RabbitMQ puts what comes back at its end: in the old order, but behind what was not looked at, when\n" +
			"there is more than --limit. RabbitMQ 4.0 to 4.2 counts each look against a delivery limit of 20 by\n" +
			"default; set a policy with delivery-limit -1 for ^magne\\.v1\\.dead\\. there.\n\n" +
			"Exit status: 0 ok, 1 refused, unroutable, interrupted or no such queue, 2 usage,\n" +
			"3 the broker cannot be reached, 75 temporary, try again.",
		Example: "  magne-actors dlq list\n  magne-actors dlq groups work\n  magne-actors dlq replay work --group 1f0c9a3e",
		Args:    noSuchCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },

		SuggestionsMinimumDistance: 2,
	}
	cmd.AddCommand(newDlqListCmd(e), newDlqGroupsCmd(e), newDlqShowCmd(e), newDlqReplayCmd(e), newDlqEditCmd(e), newDlqDropCmd(e),
		newDlqExportCmd(e), newDlqImportCmd(e))
	return cmd
}

// deadFlags are what all of dlq's commands have.
type deadFlags struct {
	*queueFlags
	asIs  bool
	limit int
}

// addDeadFlags adds them; limit and timeout are the defaults.
func addDeadFlags(cmd *cobra.Command, limit int, timeout time.Duration) *deadFlags {
	f := &deadFlags{queueFlags: addQueueFlags(cmd)}
	fs := cmd.Flags()
	fs.BoolVar(&f.asIs, "as-is", false, "the argument is the queue of dead letters itself")
	fs.IntVar(&f.limit, "limit", limit, "how many messages to look at, at most")
	f.timeout = timeout
	fs.Lookup("timeout").DefValue = timeout.String()
	return f
}

// deadQueue is a queue of dead letters.
type deadQueue struct {
	Pool string // "" with --url and --as-is
	Work string // the queue whose dead letters they are; "" where that is not known
	Name string
}

// graveyard is a connection to a broker, for its dead letters.
type graveyard struct {
	*queues
	limit int
	ctx   context.Context // outlasts that of the command, for what must be put in order
}

// grace is how long that is.
const grace = 10 * time.Second

// withDead connects for the time of do. The context of do ends when the command is
// interrupted or its --timeout is over, the connection some time later.
func (e *env) withDead(cmd *cobra.Command, f *deadFlags, do func(context.Context, *graveyard) error) error {
	if f.limit < 1 {
		return usageError(fmt.Errorf("--limit %d", f.limit), "--limit takes a number from 1 up")
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	q, err := e.queues(f.queueFlags)
	if err != nil {
		return err
	}
	q.dial.ConnectionName = cmd.Parent().CommandPath()
	hard, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	defer context.AfterFunc(ctx, func() {
		time.AfterFunc(grace, func() { cut(errors.New("the broker has not answered in time")) })
	})()
	if err := within(ctx, f.timeout, q.connect); err != nil {
		return err
	}
	defer q.admin.Close(hard)
	err = do(ctx, &graveyard{queues: q, limit: f.limit, ctx: hard})
	if _, told := errors.AsType[*statusError](err); told {
		return err
	}
	return within(ctx, f.timeout, func(context.Context) error { return err })
}

// find returns the queue of dead letters that an argument means.
func (g *graveyard) find(name string, asIs bool) (deadQueue, error) {
	if asIs {
		work, _ := strings.CutPrefix(name, amqp.DeadQueue(""))
		if work == name || work == ladder.DeliverExchange {
			work = "" // each says of itself what it was for
		}
		return deadQueue{Work: work, Name: name}, nil
	}
	if name == ladder.DeliverExchange || name == ladder.UndeliveredQueue {
		return deadQueue{Name: ladder.UndeliveredQueue}, nil
	}
	if g.file == nil {
		name = strings.TrimPrefix(name, amqp.DeadQueue(""))
		return deadQueue{Work: name, Name: amqp.DeadQueue(name)}, nil
	}
	var known []string
	for _, q := range g.deadQueues() {
		if name == q.Pool || name == q.Work || name == q.Name {
			return q, nil
		}
		known = append(known, q.Pool)
	}
	return deadQueue{}, usageError(fmt.Errorf("no pool %q in the configuration, and none with such a queue", name),
		"the pools are %s; --as-is names any queue", strings.Join(known, ", "))
}

// deadQueues are those of the pools of the configuration, each once.
func (g *graveyard) deadQueues() []deadQueue {
	var all []deadQueue
	seen := map[string]bool{}
	for i := range g.file.Pools {
		pool := &g.file.Pools[i]
		own := pool.BrokerQueue()
		if own.Dead == nil || seen[own.Dead.Name] {
			continue
		}
		seen[own.Dead.Name] = true
		all = append(all, deadQueue{Pool: pool.Name, Work: own.Name, Name: own.Dead.Name})
	}
	return all
}

// visit does something with a letter; what it does not ack goes back.
type visit func(*amqp.Taking, *broker.Delivery, *dlq.Letter) error

// scanned is how far a look at a queue went.
type scanned struct {
	Ready, Seen int  // Ready: at first
	Worn        bool // messages have been delivered so often that a limit may be near
}

// wornOut is how many deliveries are many: RabbitMQ 4 drops messages after 20.
const wornOut = 12

// ending is what is done after the last letter, before those that were not acked go
// back. It gets the error that has ended the scan, and returns the one to report.
type ending func(*amqp.Taking, error) error

// scan looks at the letters that are there at first, up to the limit. It ends early
// when ctx does, with its error, and when do returns one; everything that was not
// acked is put back in any case. end may be nil.
func (g *graveyard) scan(ctx context.Context, queue string, do visit, end ending) (s scanned, err error) {
	t, err := g.admin.Take(g.ctx, queue) //nolint:contextcheck // it outlasts the command
	if err != nil {
		return s, err
	}
	s.Ready = t.Ready
	for err == nil && s.Seen < min(s.Ready, g.limit) {
		if err = ctx.Err(); err != nil {
			break
		}
		var d *broker.Delivery
		if d, err = t.Next(); d == nil {
			break // or somebody else has taken the rest
		}
		s.Seen++
		l := dlq.Read(d)
		count, _ := d.Headers["x-delivery-count"].(int64)
		s.Worn = s.Worn || count >= wornOut
		err = do(t, d, &l)
	}
	if end != nil {
		err = end(t, err)
	}
	return s, errors.Join(err, t.Close())
}

// look is scan for what changes nothing. It says what a reader should know.
func (g *graveyard) look(ctx context.Context, queue string, do func(*broker.Delivery, *dlq.Letter)) (scanned, error) {
	s, err := g.scan(ctx, queue, func(_ *amqp.Taking, d *broker.Delivery, l *dlq.Letter) error {
		do(d, l)
		return nil
	}, nil)
	if s.Seen < s.Ready && err == nil {
		fmt.Fprintf(g.e.stderr, "looked at the first %d of %d messages in %s: --limit looks at more\n", s.Seen, s.Ready, printable(queue))
	}
	if s.Worn {
		fmt.Fprintf(g.e.stderr, "messages in %s have come back more than %d times, and RabbitMQ from 4.0 to 4.2 drops them after 20: "+
			"set a policy with delivery-limit -1 for the queue before you look again\n", printable(queue), wornOut)
	}
	return s, buried(err)
}

// buried gives an error of these commands its exit status and a hint.
func buried(err error) error {
	switch {
	case errors.Is(err, amqp.ErrNoQueue):
		return failed(exitError, err, "`magne-actors run` declares the queues of dead letters of its pools; or check the name")
	case errors.Is(err, context.Canceled):
		return failed(exitError, errors.New("interrupted"), "what was not done yet is in the queue as before")
	}
	return refused(err)
}
