package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/magne-actors/magne-actors/broker/embedded"
)

func newBrokerFsckCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fsck DIR",
		Short: "Check the files of an embedded broker that is not running",
		Long: "fsck reads every record in the directory of an embedded broker and says what is wrong with it, and\n" +
			"changes nothing. The torn end of a write that a crash has interrupted is no damage: nothing in it was\n" +
			"confirmed, and the next start cuts it off. --repair gives up what cannot be read, so that the broker\n" +
			"starts again: messages in it are lost. Make a copy of the directory first.\n\n" +
			"Exit status: 0 all is readable, or is so after --repair, 1 something is not.",
		Example: "  magne-actors broker fsck ./magne-data\n  magne-actors broker fsck ./magne-data --repair --yes",
		Args:    exactly("a directory"),
	}
	repair := cmd.Flags().Bool("repair", false, "give up what cannot be read")
	yes := addYesFlag(cmd)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if *repair {
			return e.repair(args[0], *yes)
		}
		r, err := embedded.Fsck(args[0])
		if err != nil {
			return inUse(err)
		}
		if err := e.print(newFsckReport(args[0], &r), fsckText(args[0], &r)); err != nil {
			return err
		}
		if len(r.Problems) > 0 {
			return failed(exitError, fmt.Errorf("%s cannot be read", count(len(r.Problems), "part")), "`magne-actors broker fsck %s --repair` gives it up; make a copy of the directory first", args[0])
		}
		return nil
	}
	return cmd
}

func (e *env) repair(dir string, yes bool) error {
	if !yes && !isTerminal(e.stdin) {
		return usageError(errors.New("--repair asks before it does it, and there is no terminal to ask on"), "--yes does it at once")
	}
	if !yes {
		fmt.Fprintf(e.stderr, "give up what cannot be read in %s? Is there a copy? [y/N] ", dir)
		line, _ := bufio.NewReader(e.stdin).ReadString('\n') // its end is a no
		if word := strings.ToLower(strings.TrimSpace(line)); word != "y" && word != "yes" {
			return errors.New("not done")
		}
	}
	r, err := embedded.Repair(dir)
	if err != nil {
		return inUse(err)
	}
	return e.print(newFsckReport(dir, &r), "repaired, and this was given up where a problem is named\n"+fsckText(dir, &r))
}

// fsckReport is what fsck prints with -o json.
type fsckReport struct {
	Dir      string        `json:"dir"`
	OK       bool          `json:"ok"`
	Files    int           `json:"files"`
	Bytes    int64         `json:"bytes"`
	Segments int           `json:"segments"`
	Records  int           `json:"records"` // messages in the log, also those that are done
	Live     int           `json:"live"`    // messages in queues
	Torn     []fsckProblem `json:"torn"`
	Problems []fsckProblem `json:"problems"`
}

type fsckProblem struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"`
	Bytes  int64  `json:"bytes"`
	Reason string `json:"reason"`
}

func newFsckReport(dir string, r *embedded.Report) fsckReport {
	list := func(all []embedded.Problem) []fsckProblem {
		out := []fsckProblem{}
		for _, p := range all {
			out = append(out, fsckProblem(p))
		}
		return out
	}
	return fsckReport{
		Dir: dir, OK: len(r.Problems) == 0, Files: r.Files, Bytes: r.Bytes, Segments: r.Segments, Records: r.Messages, Live: r.Live,
		Torn: list(r.Torn), Problems: list(r.Problems),
	}
}

func fsckText(dir string, r *embedded.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s in %s, %s in queues\n", dir, bytesText(r.Bytes), count(r.Files, "file"), count(r.Live, "message"))
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, p := range r.Torn {
		fmt.Fprintf(w, "torn end\t%v\n", p)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(w, "problem\t%v\n", p)
	}
	_ = w.Flush() // into memory
	return b.String()
}

func newBrokerHashCmd(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "hash-password",
		Short: "Hash a password for broker.embedded.users",
		Long: "hash-password asks for a password, on a terminal twice and without showing it, and prints its argon2id\n" +
			"hash for broker.embedded.users. From a pipe it takes the first line.",
		Example: "  magne-actors broker hash-password\n  pwgen 20 1 | tee password | magne-actors broker hash-password",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			password, err := e.readPassword()
			if err != nil {
				return err
			}
			hash, err := embedded.HashPassword(password)
			if err != nil {
				return usageError(err, "the password is the first line of standard input")
			}
			return e.print(map[string]string{"hash": string(hash)}, string(hash)+"\n")
		},
	}
}

// readPassword reads one from the terminal, twice, or a line from elsewhere.
func (e *env) readPassword() (string, error) {
	f, ok := e.stdin.(*os.File)
	if !ok || !isTerminal(f) {
		line, err := bufio.NewReader(e.stdin).ReadString('\n')
		if err != nil && line == "" {
			return "", usageError(errors.New("no password"), "the password is the first line of standard input")
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	ask := func(what string) (string, error) {
		fmt.Fprint(e.stderr, what+": ")
		b, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(e.stderr)
		return string(b), err
	}
	password, err := ask("password")
	if err != nil {
		return "", err
	}
	if again, err := ask("again"); err != nil || again != password {
		return "", errors.Join(err, errors.New("the two are not the same"))
	}
	return password, nil
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }
