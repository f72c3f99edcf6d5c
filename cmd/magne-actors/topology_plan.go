package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/internal/ladder"
	"github.com/magne-actors/magne-actors/internal/topology"
)

func newTopologyPlanCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plan [POOL...]",
		Short: "Show what apply would make, and what differs",
		Long: "plan asks the broker for everything that the pools want, and changes nothing. What exists with other\n" +
			"arguments is told before a declaration of it fails with 406, in the broker's own words, and with each\n" +
			"argument where the management API can be asked. AMQP lists no bindings: without that API they are unknown.\n\n" +
			"Exit status: 0 apply would have nothing against it, 1 something differs or may not be made; with --exit-code\n" +
			"also 1 when there is something to make, 2 usage or configuration, 3 the broker cannot be reached,\n" +
			"75 it has not answered in time.",
		Example: "  magne-actors topology plan\n  magne-actors topology plan --exit-code -o json mail",
	}
	f := addTopologyFlags(cmd)
	exitCode := cmd.Flags().Bool("exit-code", false, "exit with 1 when there is something to make")
	cmd.Flags().BoolVarP(&f.all, "all", "a", false, "also what is as it should be, and each queue of the ladder")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return e.survey(cmd, f, args, func(_ context.Context, s *surveyed) error {
			out := s.planned()
			if err := e.print(out, out.text(f.all)); err != nil {
				return err
			}
			if out.Blocked || *exitCode && out.Create > 0 {
				return silent(exitError)
			}
			return nil
		})
	}
	return cmd
}

func newTopologyApplyCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "apply [POOL...]",
		Short: "Make what is missing",
		Long: "apply makes the exchanges, queues and bindings that are missing, and changes nothing that exists. When\n" +
			"something differs or may not be made it does nothing at all. It can be repeated.\n\n" +
			"Exit status: 0 all is there, 1 something differs, may not be made or was refused, 2 usage or configuration,\n" +
			"3 the broker cannot be reached, 75 it has not answered in time.",
		Example: "  magne-actors topology apply --url amqp://deployer:secret@mq/\n  magne-actors topology apply --delays -o json",
	}
	f := addTopologyFlags(cmd)
	cmd.Flags().BoolVarP(&f.all, "all", "a", false, "print also what was as it should be, and each queue of the ladder")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return e.survey(cmd, f, args, func(ctx context.Context, s *surveyed) error { return s.apply(ctx, f.all) })
	}
	return cmd
}

func (s *surveyed) apply(ctx context.Context, all bool) error {
	out := s.planned()
	if out.Blocked {
		err := s.e.print(out, out.text(all))
		return errors.Join(err, failed(exitError, errors.New("nothing was made"), "the lines above say what is in the way, and what to do about it"))
	}
	p := newProgress(s.e.stderr, "making")
	n, err := topology.Apply(ctx, s.admin, s.plan, func(n int) { p.step(n, out.Create+out.Unknown, "made %d of %d", n, out.Create+out.Unknown) })
	p.end()
	out.Declared = &n
	text := out.text(all) + count(n, "object") + " declared\n"
	if err != nil {
		err = refused(err)
	}
	return errors.Join(s.e.print(out, text), err)
}

// planned is what plan and apply print with -o json.
type planned struct {
	Broker  string `json:"broker"` // without user and password
	Product string `json:"product"`
	Version string `json:"version"`

	topology.Plan
	Create    int  `json:"create"`
	Same      int  `json:"same"`
	Differs   int  `json:"differs"`
	Accepted  int  `json:"accepted"`
	Forbidden int  `json:"forbidden"`
	Unknown   int  `json:"unknown"`
	Blocked   bool `json:"blocked"`            // apply does nothing
	Declared  *int `json:"declared,omitempty"` // by apply
}

func (s *surveyed) planned() *planned {
	p := s.plan
	o := &planned{
		Broker: s.where(), Plan: p, Blocked: p.Blocked(),
		Create: p.Count(topology.Create), Same: p.Count(topology.Same), Differs: p.Count(topology.Differs),
		Accepted: p.Count(topology.Accepted), Forbidden: p.Count(topology.Forbidden), Unknown: p.Count(topology.Unknown),
	}
	o.Product, o.Version = s.admin.Product()
	return o
}

// text leaves out what is as it should be, and sums up what would be too much to
// read, unless all of it is wanted.
func (o *planned) text(all bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s %s\n", o.Broker, o.Product, o.Version)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	summed := map[topology.State]int{}
	unseen := 0
	var exits []string // queues of which it is not known whether what is delayed leads there
	for i := range o.Changes {
		c := &o.Changes[i]
		switch {
		case all:
		case c.State == topology.Same:
			continue
		case c.Kind == topology.KindBinding && c.State == topology.Unknown:
			unseen++
			if c.IsExit() {
				exits = append(exits, printable(c.Name))
			}
			continue
		case ofLadder(c) && (c.State == topology.Create || c.State == topology.Forbidden):
			summed[c.State]++
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", c.State, c.Kind, printable(c.Name), detail(c))
		for _, d := range c.Differences {
			fmt.Fprintf(w, "\t\t  %s\twant %s, have %s\n", printable(d.Property), jsonText(d.Want), jsonText(d.Have))
		}
		if c.Do != "" {
			fmt.Fprintf(w, "\t\t  ->\t%s\n", c.Do)
		}
	}
	for _, state := range []topology.State{topology.Create, topology.Forbidden} {
		if n := summed[state]; n > 0 {
			fmt.Fprintf(w, "%s\tladder\tmagne.v1.delay.*\t%d exchanges, queues and bindings for delays; -a shows them\n", state, n)
		}
	}
	_ = w.Flush() // into memory
	if unseen > 0 {
		fmt.Fprintf(&b, "%s cannot be seen: AMQP lists none, and no management API has told them (broker.management, --management).\n"+
			"apply makes them again, which changes nothing where they exist.\n", count(unseen, "binding"))
	}
	if len(exits) > 0 {
		fmt.Fprintf(&b, "Among them are those of the exchange %s. Without its own, what waits on the broker for a queue, a retry or a delay,\n"+
			"ends in the queue %s: %s.\n", ladder.DeliverExchange, ladder.UndeliveredQueue, strings.Join(exits, ", "))
	}
	fmt.Fprintf(&b, "%d to make, %d as they should be, %d differ", o.Create, o.Same, o.Differs)
	for _, more := range []struct {
		n    int
		what string
	}{{o.Accepted, "differ and are accepted"}, {o.Forbidden, "may not be made by this user"}, {o.Unknown, "unknown"}} {
		if more.n > 0 {
			fmt.Fprintf(&b, ", %d %s", more.n, more.what)
		}
	}
	b.WriteByte('\n')
	return b.String()
}

// ofLadder reports whether something is one of the hundreds that delays need.
func ofLadder(c *topology.Change) bool {
	return strings.HasPrefix(c.Name, "magne.v1.delay.") || strings.HasPrefix(c.Exchange, "magne.v1.delay.")
}

// detail is what there is to say of a change.
func detail(c *topology.Change) string {
	switch {
	case c.Why != "":
		return c.Why
	case c.Kind == topology.KindBinding:
		return fmt.Sprintf("from exchange %s with key %s", printable(c.Exchange), printable(c.Key))
	}
	words := []string{}
	if c.Type != "" {
		words = append(words, c.Type)
	}
	if c.Durable {
		words = append(words, "durable")
	}
	for _, name := range sortedKeys(c.Args) {
		words = append(words, name+"="+jsonText(c.Args[name]))
	}
	return strings.Join(words, " ")
}

// jsonText is a value as -o json has it.
func jsonText(v any) string {
	if v == nil {
		return "nothing"
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return strings.Trim(string(text), `"`)
}
