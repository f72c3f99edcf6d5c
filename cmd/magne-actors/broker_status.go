package main

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/broker/embedded"
	"github.com/magne-actors/magne-actors/config"
	"github.com/magne-actors/magne-actors/internal/control"
)

func newBrokerStatusCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what an embedded broker does",
		Long: "status asks the embedded broker of a running `magne-actors run` or `magne-actors broker` for its\n" +
			"connections, queues, messages and files: with --socket at that control socket, with --dir in that\n" +
			"directory, else where the configuration says.\n\n" +
			"Exit status: 0 healthy, 1 it blocks publishers, 3 none answers.",
		Example: "  magne-actors broker status\n  magne-actors broker status --dir ./magne-data -o json",
		Args:    noArgs,
	}
	file := addConfigFlag(cmd)
	socket := cmd.Flags().String("socket", "", "control socket of the instance")
	dir := cmd.Flags().String("dir", "", "`directory` of a broker that runs alone")
	cmd.MarkFlagsMutuallyExclusive("config", "socket", "dir")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var s embedded.Status
		var err error
		switch {
		case *socket != "":
			err = control.Client{Socket: *socket}.Broker(cmd.Context(), &s)
		case *dir != "":
			err = control.Client{Socket: soloSocket(*dir)}.Broker(cmd.Context(), &s)
		default:
			f, parseErr := e.embeddedFile(*file, cmd.Flags().Changed("config"))
			if parseErr != nil {
				return parseErr
			}
			_, err = findBroker(cmd.Context(), f, &s)
		}
		if err != nil {
			return failed(exitUnreachable, err, "is `magne-actors run` without broker.url, or `magne-actors broker`, running? --socket, --dir or -c says where")
		}
		if err := e.print(s, statusText(&s)); err != nil {
			return err
		}
		if s.Blocked != "" {
			return silent(exitDegraded)
		}
		return nil
	}
	return cmd
}

// embeddedFile reads a configuration for where the embedded broker is; without one
// that is where the defaults say.
func (e *env) embeddedFile(file string, given bool) (*config.File, error) {
	f := &brokerFlags{given: func(string) bool { return false }, file: file}
	if !given && !exists(file) {
		f.file = ""
	}
	return f.load(e)
}

func statusText(s *embedded.Status) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	blocked := "no"
	if s.Blocked != "" {
		blocked = "yes: " + s.Blocked
	}
	dir := s.Dir
	if dir == "" {
		dir = "none, all is in memory"
	}
	fmt.Fprintf(w, "broker\t%s, up %v\n", s.Version, s.Uptime.Round(100*time.Millisecond))
	fmt.Fprintf(w, "directory\t%s\n", dir)
	fmt.Fprintf(w, "publishers blocked\t%s\n", blocked)
	fmt.Fprintf(w, "messages\t%d ready, %d unacked\n", s.Ready, s.Unacked)
	fmt.Fprintf(w, "since the start\t%d published, %d delivered, %d acked\n", s.Published, s.Delivered, s.Acked)
	fmt.Fprintf(w, "memory\t%s of messages, %s of them nowhere else\n", bytesText(s.MemoryBytes), bytesText(s.TransientBytes))
	fmt.Fprintf(w, "log\t%s in %s, %s\n", bytesText(s.LogBytes), count(s.Segments, "segment"), count(int(s.Syncs), "fsync"))
	fmt.Fprintf(w, "clients\t%s, %s, %s\n", count(len(s.Connections), "connection"), count(s.Channels, "channel"), count(s.Consumers, "consumer"))
	_ = w.Flush() // into memory
	if len(s.Connections) > 0 {
		fmt.Fprintln(w, "\nCONNECTION\tUSER\tNAME\tSTATE\tCHANNELS\tUP")
		for _, c := range s.Connections {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%v\n", c.Remote, printable(c.User), printable(c.Name), c.State, c.Channels, time.Since(c.Since).Round(100*time.Millisecond))
		}
		_ = w.Flush()
	}
	if len(s.Queues) > 0 {
		fmt.Fprintln(w, "\nQUEUE\tTYPE\tREADY\tUNACKED\tCONSUMERS\tBYTES")
		for _, q := range s.Queues {
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%s\n", printable(q.Name), q.Type, q.Ready, q.Unacked, q.Consumers, bytesText(q.BodyBytes))
		}
		_ = w.Flush()
	}
	return b.String()
}

// bytesText is a number of bytes for people.
func bytesText(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	f, i := float64(n), 0
	for ; f >= 1024 && i < len(units)-1; i++ {
		f /= 1024
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}

// inUse is what fsck says of a directory that a broker has open.
func inUse(err error) error {
	if locked, ok := errors.AsType[*embedded.LockedError](err); ok {
		return failed(exitError, err, "it cannot be read beside the broker that uses it (process %d): stop that first, or ask it: magne-actors broker status", locked.PID)
	}
	return failed(exitError, err, "name the directory of an embedded broker: broker.embedded.dir, ./magne-data by default")
}
