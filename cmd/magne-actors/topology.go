package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/internal/topology"
)

func newTopologyCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "topology",
		Short: "Compare and make the exchanges and queues that a configuration wants",
		Long: "topology says which exchanges, queues and bindings the pools of a configuration want, what the broker\n" +
			"has of them, and makes what is missing, so that the user of a worker needs no right to do so: with\n" +
			"declare: passive it only consumes.\n\n" +
			"Exit status: 0 ok, 1 something differs or was refused, 2 usage or configuration,\n" +
			"3 the broker cannot be reached, 75 it has not answered in time.",
		Example: "  magne-actors topology plan\n  magne-actors topology apply --url amqp://deployer:secret@mq/\n  magne-actors topology permissions",
		Args:    noSuchCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },

		SuggestionsMinimumDistance: 2,
	}
	cmd.AddCommand(newTopologyPlanCmd(e), newTopologyApplyCmd(e), newTopologyShowCmd(e), newTopologyPermissionsCmd(e))
	return cmd
}

// topologyFlags say whose wishes are meant, and who is asked.
type topologyFlags struct {
	queueFlags
	delays, all bool
	given       func(flag string) bool
}

func addTopologyFlags(cmd *cobra.Command) *topologyFlags {
	f := &topologyFlags{given: cmd.Flags().Changed}
	file := addConfigFlag(cmd)
	fs := cmd.Flags()
	fs.BoolVar(&f.delays, "delays", false, "with the ladder of queues in which delayed messages wait, --delays=false without\n(default: where a pool waits on the broker for its retries)")
	fs.StringVar(&f.url, "url", "", "broker `url` in place of broker.url: for a user with other rights than the workers'")
	fs.DurationVar(&f.timeout, "timeout", time.Minute, "how long the whole command may take")
	f.addDetailFlags(cmd)
	cmd.PreRunE = func(*cobra.Command, []string) error {
		f.file = *file
		if f.timeout <= 0 {
			return fmt.Errorf("--timeout %v: want more than 0", f.timeout)
		}
		return nil
	}
	return f
}

// surveyed is a configuration and a broker, compared.
type surveyed struct {
	*queues
	want  []topology.Object
	facts topology.Facts
	plan  topology.Plan
}

// wanted reads the configuration; it connects to nothing.
func (e *env) wanted(f *topologyFlags, pools []string) (*queues, []topology.Object, error) {
	if f.url != "" && !plausibleURL(f.url) {
		return nil, nil, errURL()
	}
	own := f.queueFlags
	own.url = "" // the configuration says what is wanted
	q, err := e.queues(&own)
	if err != nil {
		return nil, nil, err
	}
	if f.url != "" {
		q.dial.URL, q.dial.URLs, q.dial.Product = f.url, nil, ""
	}
	q.dial.ConnectionName = "magne-actors topology"
	o := topology.Options{Pools: pools}
	switch {
	case f.delays:
		o.Delays = topology.DelaysAlways
	case f.given("delays"):
		o.Delays = topology.DelaysNever
	}
	want, err := topology.Of(q.file, o)
	if err != nil {
		return nil, nil, usageError(err, "`magne-actors check` lists the pools with their queues")
	}
	return q, want, nil
}

// survey looks at the broker, and calls do with the result.
func (e *env) survey(cmd *cobra.Command, f *topologyFlags, pools []string, do func(context.Context, *surveyed) error) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	q, want, err := e.wanted(f, pools)
	if err != nil {
		return err
	}
	return within(ctx, f.timeout, func(ctx context.Context) error {
		if err := q.connect(ctx); err != nil {
			return err
		}
		defer q.admin.Close(ctx)
		listed, err := q.listed(ctx)
		if status(err) == exitUsage {
			return err
		}
		if err != nil {
			fmt.Fprintf(e.stderr, "without what only the broker's own tools list: %v\n", err)
		}
		p := newProgress(e.stderr, "looking")
		facts, err := topology.Look(ctx, q.admin, want, topology.Sources{
			Listed: listed, Progress: func(n int) { p.show(n, len(want), "nothing is changed") },
		})
		p.end()
		if err != nil {
			return err
		}
		return do(ctx, &surveyed{queues: q, want: want, facts: facts, plan: topology.Compare(want, facts)})
	})
}

// listed asks those who can list: nil when there is nobody, and an error when one
// who was named does not answer.
func (q *queues) listed(ctx context.Context) (*topology.Listed, error) {
	if q.f.socket == "" && q.managementURL() != "" {
		c, vhost, err := q.api()
		if err != nil {
			return nil, err
		}
		return topology.List(ctx, c, vhost)
	}
	rows, err := q.all(ctx)
	switch {
	case errors.Is(err, errNobodyToAsk), err != nil && q.f.socket == "":
		return nil, nil // an embedded broker that runs elsewhere
	case err != nil:
		return nil, err
	}
	l := &topology.Listed{}
	for _, r := range rows {
		o := topology.Object{Kind: topology.KindQueue, Name: r.Name, Args: r.Arguments}
		o.Durable = r.Durable != nil && *r.Durable
		l.Objects = append(l.Objects, o)
	}
	return l, nil
}
