package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/config"
	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/internal/doctor"
)

func newDoctorCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find what is wrong with a configuration and its broker",
		Long: "doctor reads a configuration and looks at its broker: can it be reached, what does its version do\n" +
			"differently, what may this user do, which queues exist otherwise, which policies drop messages, do\n" +
			"timeouts and prefetches fit, do the clocks agree, are there enough files. Nothing is changed. What\n" +
			"neither AMQP nor the management API tells is said to be unknown, with how to find out.\n\n" +
			"Exit status: 0 fine, or warnings, 1 errors, 2 usage or configuration, 3 the broker cannot be reached,\n" +
			"75 it has not answered in time.",
		Example: "  magne-actors doctor\n" +
			"  magne-actors doctor -c magne.yaml --management http://monitor:secret@mq:15672/ -o json\n" +
			"  rabbitmqctl -q environment --formatter json | magne-actors doctor --environment -",
		Args: noFile,
	}
	f := &doctorFlags{}
	f.topologyFlags = addTopologyFlags(cmd)
	cmd.Flags().StringVar(&f.environment, "environment", "", "`file` with what `rabbitmqctl -q environment --formatter json` prints, - for stdin")
	cmd.Flags().BoolVarP(&f.all, "all", "a", false, "also what is fine")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return e.doctor(cmd, f) }
	return cmd
}

type doctorFlags struct {
	*topologyFlags
	environment string
}

// diagnosis is what doctor prints with -o json.
type diagnosis struct {
	File     string           `json:"file"`
	Broker   string           `json:"broker"`
	Product  string           `json:"product,omitempty"`
	Version  string           `json:"version,omitempty"`
	Errors   int              `json:"errors"`
	Warnings int              `json:"warnings"`
	Unknown  int              `json:"unknown"`
	Info     int              `json:"info"`
	Findings []doctor.Finding `json:"findings"`
}

func (e *env) doctor(cmd *cobra.Command, f *doctorFlags) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	x, err := e.examine(f)
	if err != nil {
		return err
	}
	return within(ctx, f.timeout, func(ctx context.Context) error {
		reached, err := x.ask(ctx)
		if err != nil {
			return err
		}
		d := x.diagnosis(name(f.file))
		if err := e.print(d, d.text(f.all)); err != nil {
			return err
		}
		switch {
		case !reached:
			return silent(exitUnreachable)
		case d.Errors > 0:
			return silent(exitError)
		}
		return nil
	})
}

// examination is a configuration with what is known by and by.
type examination struct {
	*queues
	facts     doctor.Facts
	questions doctor.Questions
}

// examine reads the configuration and looks at this machine.
func (e *env) examine(f *doctorFlags) (*examination, error) {
	q, want, err := e.wanted(f.topologyFlags, nil)
	if err != nil {
		return nil, err
	}
	q.dial.ConnectionName = "magne-actors doctor"
	x := &examination{queues: q, facts: doctor.Of(q.file)}
	x.questions.Want = want
	x.facts.Files.Limit = fileLimit()
	x.facts.User, x.facts.Remote = userOf(q.dial.URL)
	if f.environment != "" {
		if x.facts.Settings, err = e.settings(f.environment); err != nil {
			return nil, usageError(err, "on the broker: rabbitmqctl -q environment --formatter json >env.json, then --environment env.json")
		}
	}
	if q.managementURL() != "" {
		if x.questions.API, x.questions.VHost, err = q.api(); err != nil {
			return nil, err
		}
	}
	return x, nil
}

func (e *env) settings(file string) (*doctor.Settings, error) {
	in := e.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, 16<<20))
	if err != nil {
		return nil, err
	}
	return doctor.ParseSettings(text)
}

// ask connects to the broker and asks it for everything. That it is not reached is a
// fact, and no error.
func (x *examination) ask(ctx context.Context) (reached bool, err error) {
	x.facts.Control = controlOf(ctx, x.file)
	address := doctor.Address{Address: x.where(), Path: "broker.url"}
	switch b := x.file.Broker; {
	case x.facts.Embedded:
		address.Path = "broker.embedded.listen"
	case b.URL == "" && len(b.URLs) > 0:
		address.Path = "broker.urls"
	}
	admin, err := x.reach(ctx, address)
	if admin == nil || err != nil {
		return false, err
	}
	defer admin.Close(ctx)
	p := newProgress(x.e.stderr, "examining")
	x.questions.Progress = func(n int) { p.show(n, len(x.questions.Want), "nothing is changed") }
	err = x.facts.Ask(ctx, admin, x.questions)
	p.end()
	return true, err
}

// eachAddress is how long one of several addresses may take, as it is for a session.
const eachAddress = 10 * time.Second

// reach connects to each address, and returns the connection to the first that lets us
// in, nil when none does. address is that of the only one.
func (x *examination) reach(ctx context.Context, address doctor.Address) (*amqp.Admin, error) {
	var first *amqp.Admin
	urls := x.dial.URLs
	if len(urls) == 0 {
		urls = []string{x.dial.URL}
	}
	for _, u := range urls {
		d := x.dial
		d.URL, d.URLs = u, nil
		if len(urls) > 1 {
			address.Address = withoutLogin(u)
		}
		limited, cancel := ctx, context.CancelFunc(func() {})
		if len(urls) > 1 {
			limited, cancel = context.WithTimeout(ctx, eachAddress)
		}
		admin, err := d.Admin(limited)
		cancel()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		address.Err, address.Denied = "", false
		if err != nil {
			address.Err, address.Denied = strings.TrimPrefix(err.Error(), "amqp: "), errors.Is(err, broker.ErrDenied)
		}
		x.facts.Addresses = append(x.facts.Addresses, address)
		switch {
		case err != nil:
		case first == nil:
			first = admin
		default:
			admin.Close(ctx)
		}
	}
	return first, nil
}

// diagnosis judges what is known, and finds the places in the configuration.
func (x *examination) diagnosis(file string) *diagnosis {
	list := doctor.Judge(x.facts)
	for i := range list {
		if l := &list[i]; l.Path != "" && l.Source == "" {
			l.Source, l.Line, l.Column = x.file.Place(l.Path)
		}
	}
	d := &diagnosis{
		File: file, Broker: x.where(), Findings: list,
		Errors: doctor.Count(list, doctor.Error), Warnings: doctor.Count(list, doctor.Warning),
		Unknown: doctor.Count(list, doctor.Unknown), Info: doctor.Count(list, doctor.Info),
	}
	if b := x.facts.Broker; b != nil {
		d.Product, d.Version = b.Product, b.Version
	}
	return d
}

// text leaves out what is fine unless all of it is wanted.
func (d *diagnosis) text(all bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: broker %s", d.File, d.Broker)
	if d.Product != "" {
		fmt.Fprintf(&b, ", %s %s", d.Product, d.Version)
	}
	b.WriteByte('\n')
	for i := range d.Findings {
		f := &d.Findings[i]
		if f.Severity == doctor.Info && !all {
			continue
		}
		fmt.Fprintf(&b, "%s (%s): %s\n", f.Severity, f.Check, f.What)
		if where := f.Where(); where != "" {
			fmt.Fprintf(&b, "  at %s\n", where)
		}
		if f.Do != "" {
			fmt.Fprintf(&b, "  -> %s\n", f.Do)
		}
	}
	fmt.Fprintf(&b, "%s, %s, %d unknown, %d fine\n", count(d.Errors, "error"), count(d.Warnings, "warning"), d.Unknown, d.Info)
	return b.String()
}

// userOf is the user of a URL, and whether its host is another machine.
func userOf(address string) (user string, remote bool) {
	u, err := url.Parse(address)
	if err != nil {
		return "", false
	}
	host := u.Hostname()
	ip, err := netip.ParseAddr(host)
	remote = host != "localhost" && (err != nil || !ip.IsLoopback())
	if u.User == nil {
		return "guest", remote // as the client has it
	}
	return u.User.Username(), remote
}

// fileLimit is how many files a process may have open at most, which Go's runtime
// makes use of; 0 where that cannot be told.
func fileLimit() int {
	f, err := os.Open("/proc/self/limits")
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		rest, found := strings.CutPrefix(lines.Text(), "Max open files")
		if w := strings.Fields(rest); found && len(w) > 1 {
			n, err := strconv.Atoi(w[1])
			if err != nil {
				return 0 // unlimited
			}
			return n
		}
	}
	return 0
}

// controlOf looks at the control socket. It makes nothing, not even its directory.
func controlOf(ctx context.Context, f *config.File) doctor.Control {
	c := doctor.Control{Socket: socketOf(f)}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if s, err := (control.Client{Socket: c.Socket}).Status(ctx); err == nil {
		c.Answers, c.Version = true, s.Version
		return c
	}
	if info, err := os.Lstat(c.Socket); err == nil {
		c.Mode = info.Mode()
	}
	if _, err := os.Stat(filepath.Dir(c.Socket)); err != nil {
		return c // it will be made
	}
	if err := control.Check(c.Socket); err != nil && !errors.Is(err, net.ErrClosed) {
		c.Err = err.Error()
	}
	return c
}
