package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/internal/topology"
)

func newTopologyShowCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show [POOL...]",
		Short: "Show what exists of it, with arguments",
		Long: "show prints the exchanges, queues and bindings of the pools that the broker has. Arguments are those that\n" +
			"the management API or an embedded broker tells; else those of the configuration where the broker has said\n" +
			"that they are equal, and - (null with -o json) where it has not. --all shows everything of the virtual\n" +
			"host, whoever made it, and needs the management API.",
		Example: "  magne-actors topology show\n  magne-actors topology show --all --management http://guest:guest@127.0.0.1:15672/ -o json",
	}
	f := addTopologyFlags(cmd)
	cmd.Flags().BoolVarP(&f.all, "all", "a", false, "everything of the virtual host")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.all && len(args) > 0 {
			return usageError(errors.New("pools beside --all"), "one or the other")
		}
		return e.survey(cmd, f, args, func(_ context.Context, s *surveyed) error { return s.show(f.all) })
	}
	return cmd
}

// shown is an object as show prints it with -o json.
type shown struct {
	Kind      topology.Kind  `json:"kind"`
	Name      string         `json:"name"`
	Type      string         `json:"type,omitempty"`
	Durable   *bool          `json:"durable"`   // null: not known
	Arguments map[string]any `json:"arguments"` // null: not known
	Exchange  string         `json:"exchange,omitempty"`
	Key       string         `json:"key,omitempty"`
	Ready     *int           `json:"ready,omitempty"`
	Consumers *int           `json:"consumers,omitempty"`
	State     topology.State `json:"state,omitempty"` // as in plan; missing with --all
}

func (s *surveyed) show(all bool) error {
	rows := []shown{}
	switch {
	case !all:
		for i := range s.plan.Changes {
			if c := &s.plan.Changes[i]; c.State != topology.Create && c.State != topology.Forbidden {
				rows = append(rows, s.row(c))
			}
		}
	case s.facts.Listed == nil:
		return usageError(errNobodyToAsk, "for RabbitMQ name its management API: --management http://user:password@host:15672/ or broker.management")
	default:
		for _, o := range s.facts.Listed.Objects {
			rows = append(rows, shown{Kind: o.Kind, Name: o.Name, Type: o.Type, Durable: &o.Durable, Arguments: arguments(o.Args), Exchange: o.Exchange, Key: o.Key})
		}
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KIND\tNAME\tREADY\tCONSUMERS\tPROPERTIES")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.Kind, printable(r.Name), known(r.Ready), known(r.Consumers), r.properties())
	}
	_ = w.Flush() // into memory
	return s.e.print(rows, b.String())
}

// row is a change with what is known of what exists.
func (s *surveyed) row(c *topology.Change) shown {
	r := shown{Kind: c.Kind, Name: c.Name, Type: c.Type, Exchange: c.Exchange, Key: c.Key, Ready: c.Ready, Consumers: c.Consumers, State: c.State}
	if c.State == topology.Same {
		r.Durable, r.Arguments = &c.Durable, arguments(c.Args)
	}
	if s.facts.Listed == nil || c.Kind == topology.KindBinding {
		return r
	}
	i := slices.IndexFunc(s.facts.Listed.Objects, func(o topology.Object) bool { return o.Kind == c.Kind && o.Name == c.Name })
	if i >= 0 {
		o := s.facts.Listed.Objects[i]
		r.Type, r.Durable, r.Arguments = o.Type, &o.Durable, arguments(o.Args)
	}
	return r
}

// arguments is never nil: what is known to be none is not unknown.
func arguments(args map[string]any) map[string]any {
	if args == nil {
		return map[string]any{}
	}
	return args
}

func (r *shown) properties() string {
	c := topology.Change{Object: topology.Object{Kind: r.Kind, Name: r.Name, Type: r.Type, Args: r.Arguments, Exchange: r.Exchange, Key: r.Key}}
	c.Durable = r.Durable != nil && *r.Durable
	text := detail(&c)
	switch {
	case r.Kind == topology.KindBinding && r.State == topology.Unknown:
		return text + ", if it is there: AMQP does not tell"
	case r.Kind != topology.KindBinding && r.Arguments == nil:
		return "- (AMQP does not tell, and they are not those of the configuration)"
	}
	return text
}

func newTopologyPermissionsCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "permissions [POOL...]",
		Short: "Print the least permissions that each kind of user needs",
		Long: "permissions prints the commands that give RabbitMQ users just the rights they need for the pools: a deployer\n" +
			"makes exchanges and queues, a worker consumes (declare: passive), a producer publishes, an operator looks\n" +
			"into queues and handles dead letters. It connects to nothing.",
		Example: "  magne-actors topology permissions\n  magne-actors topology permissions --prefix prod- --delays -o json",
	}
	f := addTopologyFlags(cmd)
	prefix := cmd.Flags().String("prefix", "magne-", "what the names of the users begin with")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		q, want, err := e.wanted(f, args)
		if err != nil {
			return err
		}
		list := topology.Permissions(want)
		return e.print(list, permissionsText(list, q.vhost(), *prefix))
	}
	return cmd
}

func permissionsText(list []topology.Permission, vhost, prefix string) string {
	var b strings.Builder
	for _, p := range list {
		fmt.Fprintf(&b, "# %s: %s\n", p.Identity, p.For)
		quoted := func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
		fmt.Fprintf(&b, "rabbitmqctl set_permissions -p %s %s %s %s %s\n", quoted(vhost), quoted(prefix+p.Identity), quoted(p.Configure), quoted(p.Write), quoted(p.Read))
	}
	return b.String()
}

// vhost is the virtual host of the broker's URL.
func (q *queues) vhost() string {
	u, err := url.Parse(q.dial.URL)
	if err != nil || strings.Trim(u.Path, "/") == "" {
		return "/"
	}
	return strings.TrimPrefix(u.Path, "/")
}

// where is the broker, without user and password.
func (q *queues) where() string {
	if q.file != nil && (len(q.dial.URLs) > 0 || q.file.Broker.URL.Reveal() == q.dial.URL || q.dial.Product != "") {
		return q.file.Broker.Address()
	}
	return withoutLogin(q.dial.URL)
}

// withoutLogin is a URL without user and password.
func withoutLogin(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "the broker"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
