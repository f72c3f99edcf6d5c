package main

import (
	"bufio"
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
	"github.com/magne-actors/magne-actors/config"
	"github.com/magne-actors/magne-actors/internal/spool"
)

func newSpoolCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "spool",
		Short: "Look at what waits on the disk for the broker, publish it, or drop it",
		Long: "spool is about broker.spool.dir: the messages that `magne-actors run` and `publish --spool` have put\n" +
			"there while the broker took none. `run` publishes them by itself when it has its broker again.\n\n" +
			"Exit status: 0 ok, 1 error, 2 usage, 3 the broker cannot be reached, 75 some are left.",
		Example: "  magne-actors spool status\n  magne-actors spool flush",
		Args:    noSuchCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },

		SuggestionsMinimumDistance: 2,
	}
	cmd.AddCommand(newSpoolStatusCmd(e), newSpoolFlushCmd(e), newSpoolDropCmd(e))
	return cmd
}

// spoolFlags say which spool is meant, and for flush which broker.
type spoolFlags struct {
	file, url, dir string
	timeout        time.Duration
}

func addSpoolFlags(cmd *cobra.Command) *spoolFlags {
	f := &spoolFlags{}
	file := addConfigFlag(cmd)
	addSpoolDir(cmd, &f.dir)
	cmd.PreRun = func(*cobra.Command, []string) { f.file = *file }
	return f
}

func addSpoolDir(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "spool-dir", "", "`directory` of the spool (default: broker.spool.dir)")
	if err := cmd.MarkFlagDirname("spool-dir"); err != nil {
		panic("magne-actors: " + err.Error()) // a flag that was never added
	}
}

// options finds the spool. The configuration is not read when the flags say all.
func (e *env) spoolOptions(f *spoolFlags, needsFile bool) (spool.Options, *config.File, error) {
	if f.dir != "" && !needsFile {
		return spool.Options{Dir: f.dir}, nil, nil
	}
	file, err := e.read(f.file)
	if err != nil {
		return spool.Options{}, nil, err
	}
	o, err := spoolDir(f.dir, file)
	return o, file, err
}

// spoolStatus is what status prints with -o json.
type spoolStatus struct {
	Dir          string       `json:"dir"`
	Messages     int          `json:"messages"`
	Bytes        int64        `json:"bytes"`
	MaxBytes     int64        `json:"max_bytes,omitempty"` // absent if no configuration says so
	Oldest       *time.Time   `json:"oldest"`
	Owners       []spoolOwner `json:"owners"`
	DamagedBytes int64        `json:"damaged_bytes"`
	Kept         []string     `json:"kept"`    // files in which something cannot be read
	Foreign      []string     `json:"foreign"` // files that no spool has written
}

type spoolOwner struct {
	PID      int  `json:"pid"`
	Alive    bool `json:"alive"`
	Messages int  `json:"messages"`
}

func newSpoolStatusCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", Short: "Show what waits in the spool", Args: noArgs,
		Long: "status reads the directory and changes nothing. An owner that is not alive has left its messages to\n" +
			"whoever opens the spool next.",
		Example: "  magne-actors spool status -o json",
	}
	f := addSpoolFlags(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		o, _, err := e.spoolOptions(f, false)
		if err != nil {
			return err
		}
		sum, err := spool.Look(o.Dir)
		if err != nil {
			return failed(exitError, err, "is the directory yours?")
		}
		st := statusOf(o, &sum)
		return e.print(st, st.text())
	}
	return cmd
}

func statusOf(o spool.Options, sum *spool.Summary) spoolStatus {
	st := spoolStatus{
		Dir: o.Dir, Messages: sum.Messages, Bytes: sum.Bytes, MaxBytes: o.MaxBytes, DamagedBytes: sum.Damaged,
		Owners: []spoolOwner{}, Kept: append([]string{}, sum.Kept...), Foreign: append([]string{}, sum.Foreign...),
	}
	if !sum.Oldest.IsZero() {
		st.Oldest = &sum.Oldest
	}
	for _, w := range sum.Owners {
		st.Owners = append(st.Owners, spoolOwner{w.PID, w.Alive, w.Messages})
	}
	return st
}

func (st *spoolStatus) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s in %s, %d bytes", count(st.Messages, "message"), st.Dir, st.Bytes)
	if st.MaxBytes > 0 {
		fmt.Fprintf(&b, " of %d", st.MaxBytes)
	}
	if st.Oldest != nil {
		fmt.Fprintf(&b, ", the oldest from %s", st.Oldest.Local().Format(time.DateTime))
	}
	b.WriteByte('\n')
	for _, w := range st.Owners {
		state := "is gone: the next start or `magne-actors spool flush` publishes them"
		if w.Alive {
			state = "runs, and publishes them when it can"
		}
		fmt.Fprintf(&b, "  %d of process %d, which %s\n", w.Messages, w.PID, state)
	}
	if st.DamagedBytes > 0 {
		fmt.Fprintf(&b, "  %d bytes cannot be read\n", st.DamagedBytes)
	}
	for _, name := range st.Kept {
		fmt.Fprintf(&b, "  kept because of damage: %s\n", name)
	}
	for _, name := range st.Foreign {
		fmt.Fprintf(&b, "  no file of a spool, and left alone: %s\n", name)
	}
	return b.String()
}

func newSpoolFlushCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "flush", Short: "Publish what waits in the spool", Args: noArgs,
		Long: "flush publishes the messages of processes that are gone, each once, and waits for the confirms.\n" +
			"What a running process has, that one publishes. A message whose confirm is lost is published again\n" +
			"by the next flush, with the same message id.",
		Example: "  magne-actors spool flush",
	}
	f := addSpoolFlags(cmd)
	cmd.Flags().StringVar(&f.url, "url", "", "broker `url` to use instead of broker.url")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 30*time.Second, "how long to wait while the broker accepts or confirms nothing")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return e.flushSpool(ctx, f)
	}
	return cmd
}

// flushed is what flush prints with -o json.
type flushed struct {
	Dir       string  `json:"dir"`
	Published int64   `json:"published"`
	Left      int     `json:"left"`            // refused or returned by the broker, or not tried
	Others    int     `json:"others"`          // of processes that run
	Error     string  `json:"error,omitempty"` // why the last one of those left is left
	Seconds   float64 `json:"seconds"`
}

func (e *env) flushSpool(ctx context.Context, f *spoolFlags) error {
	o, file, err := e.spoolOptions(f, f.url == "")
	if err != nil {
		return err
	}
	dialer, err := flushDialer(f, file)
	if err != nil {
		return err
	}
	s, err := openSpool(o)
	if err != nil {
		return err
	}
	begin := time.Now()
	out := flushed{Dir: o.Dir}
	if s.Pending() > 0 {
		err = e.drain(ctx, s, dialer, file, f.timeout)
	}
	st := s.Stats()
	out.Published, out.Left, out.Error = st.Published, st.Messages, st.LastError
	err = errors.Join(err, s.Close())
	if sum, lookErr := spool.Look(o.Dir); lookErr == nil {
		out.Others = sum.Messages - out.Left
	}
	out.Seconds = time.Since(begin).Seconds()
	text := fmt.Sprintf("%d published, %d left in %s", out.Published, out.Left, o.Dir)
	if out.Others > 0 {
		text += fmt.Sprintf(", and %d that a running process has", out.Others)
	}
	if err == nil && out.Left > 0 {
		err = failed(exitTemporary, fmt.Errorf("%s left: %s", count(out.Left, "message"), out.Error), "try again, or `magne-actors spool drop` gives them up")
	}
	return errors.Join(e.print(out, text+"\n"), err)
}

// flushDialer is the broker that is meant.
func flushDialer(f *spoolFlags, file *config.File) (amqp.Dialer, error) {
	d := amqp.Dialer{URL: f.url}
	if f.url == "" {
		var err error
		if d, err = file.AMQP(nil); err != nil {
			return d, err
		}
	} else if !plausibleURL(f.url) {
		return d, errURL()
	}
	d.OneConnection, d.ConnectionName = true, "magne-actors spool"
	return d, nil
}

// drain publishes what waits in s, with progress.
func (e *env) drain(ctx context.Context, s *spool.Spool, dialer broker.Dialer, file *config.File, timeout time.Duration) error {
	session, err := connect(ctx, dialer, timeout)
	if err != nil {
		return unreachable(file, err)
	}
	defer closeWithin(context.WithoutCancel(ctx), session, timeout)
	defer watchBlocks(session, e.stderr, timeout)()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer e.showDrain(s, timeout, cancel)()
	_, err = s.Drain(ctx, session)
	switch {
	case errors.Is(context.Cause(ctx), errStalled):
		return failed(exitTemporary, fmt.Errorf("%w: nothing was confirmed for %v", errStalled, timeout), "what is left stays in the spool")
	case err != nil:
		return failed(exitTemporary, err, "what is left stays in the spool")
	}
	return nil
}

// showDrain prints progress, and ends the drain when there is none for as long as
// timeout. The function that it returns ends it.
func (e *env) showDrain(s *spool.Spool, timeout time.Duration, stall context.CancelCauseFunc) (stop func()) {
	ended, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		tick := time.NewTicker(min(plainEvery, timeout))
		defer tick.Stop()
		last, at := int64(-1), time.Now()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
			}
			st := s.Stats()
			if answered := st.Published + int64(st.Retrying); answered != last {
				last, at = answered, time.Now()
				fmt.Fprintf(e.stderr, "published %d, %d wait\n", st.Published, st.Messages)
			} else if time.Since(at) >= timeout {
				stall(errStalled)
				return
			}
		}
	}()
	return func() {
		close(ended)
		<-over
	}
}

// connect dials within a time.
func connect(ctx context.Context, dialer broker.Dialer, timeout time.Duration) (broker.Session, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no connection in %v: %w", timeout, context.DeadlineExceeded))
	defer cancel()
	return dialer.Dial(ctx)
}

func closeWithin(ctx context.Context, session broker.Session, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, min(timeout, 5*time.Second))
	defer cancel()
	_ = session.Close(ctx) // every confirm that matters is in
}

func newSpoolDropCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "drop", Short: "Give up what waits in the spool", Args: noArgs,
		Long: "drop deletes the messages of processes that are gone, and the files that were kept because of damage.\n" +
			"It asks before, unless --yes is given. What a running process has stays.",
		Example: "  magne-actors spool drop --yes",
	}
	f := addSpoolFlags(cmd)
	yes := addYesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return e.dropSpool(cmd.Context(), f, *yes) }
	return cmd
}

// droppedSpool is what drop prints with -o json.
type droppedSpool struct {
	Dir     string `json:"dir"`
	Dropped int    `json:"dropped"`
	Others  int    `json:"others"` // of processes that run
}

func (e *env) dropSpool(ctx context.Context, f *spoolFlags, yes bool) error {
	o, _, err := e.spoolOptions(f, false)
	if err != nil {
		return err
	}
	sum, err := spool.Look(o.Dir)
	if err != nil {
		return failed(exitError, err, "is the directory yours?")
	}
	if !yes {
		if !isTerminal(e.stdin) {
			return usageError(errors.New("drop asks before it does it, and there is no terminal to ask on"), "--yes does it at once")
		}
		fmt.Fprintf(e.stderr, "drop %s from %s? [y/N] ", count(sum.Messages, "message"), printable(o.Dir))
		if err := agreed(ctx, bufio.NewReader(e.stdin)); err != nil {
			return err
		}
	}
	s, err := openSpool(o)
	if err != nil {
		return err
	}
	n, err := s.Drop()
	err = errors.Join(err, s.Close())
	out := droppedSpool{Dir: o.Dir, Dropped: n, Others: sum.Messages - n}
	text := fmt.Sprintf("%d deleted from %s\n", n, o.Dir)
	if out.Others > 0 {
		text += fmt.Sprintf("%d stay, which a running process has\n", out.Others)
	}
	return errors.Join(e.print(out, text), err)
}
