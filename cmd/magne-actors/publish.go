package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/config"
	"github.com/magne-actors/magne-actors/internal/topology"
	"github.com/magne-actors/magne-actors/task"
	"github.com/magne-actors/magne-actors/task/codec"
)

// publishFlags are the flags of publish.
type publishFlags struct {
	file, url, queue, codec, from string
	exchange                      string
	spool, flush                  bool
	spoolDir                      string
	n                             int
	timeout                       time.Duration
	due                           dueFlags
}

func newPublishCmd(e *env) *cobra.Command {
	f := publishFlags{codec: "json"}
	cmd := &cobra.Command{
		Use:   "publish TASK [ARG...]",
		Short: "Publish tasks and wait for the broker's confirms",
		Long: "publish sends a task to the queue of the pool that knows it, or of the only one, if its tasks are those of\n" +
			"a worker program. Each ARG is JSON; what is not JSON is a string. With --url instead of -c it sends to --queue, without any configuration.\n\n" +
			"Every message is mandatory and confirmed: the exit status is 0 only when the broker has put all\n" +
			"of them in a queue, 1 when some are unroutable, 75 when some were refused or their fate is unknown,\n" +
			"or when the broker takes no more: it blocks publishers while its memory or disk is full, 3 when it\n" +
			"cannot be reached.\n\n" +
			"With --spool, what the broker does not take goes into the spool and counts as accepted: it is safe on\n" +
			"the disk, and `magne-actors run` with the same broker.spool.dir, or publish --flush, publishes it later.\n\n" +
			"With --in or --at the tasks wait on the broker until they are due, at most a year, and are late rather\n" +
			"than early; `magne-actors delayed` shows them. What is due already is published at once.",
		Example: "  magne-actors publish resize '\"cat.png\"' 640 480\n" +
			"  magne-actors publish -n 10000 magne_latency_bench\n" +
			"  magne-actors publish --in 10m resize '\"cat.png\"' 640 480\n" +
			"  magne-actors publish --at 2026-12-01T08:00Z resize '\"cat.png\"' 640 480\n" +
			"  magne-actors publish --url amqp://127.0.0.1/ --queue resize --from args.jsonl resize",
		Args: func(cmd *cobra.Command, args []string) error {
			if f.flush {
				return noArgs(cmd, args)
			}
			return cobra.MinimumNArgs(1)(cmd, args)
		},
	}
	file := addConfigFlag(cmd)
	fs := cmd.Flags()
	fs.BoolVar(&f.spool, "spool", false, "put what the broker does not take into the spool, for later")
	fs.BoolVar(&f.flush, "flush", false, "publish what is in the spool, and nothing else; the same as `magne-actors spool flush`")
	addSpoolDir(cmd, &f.spoolDir)
	fs.StringVar(&f.url, "url", "", "broker `url` to use instead of a configuration")
	fs.StringVar(&f.queue, "queue", "", "queue to publish to (default: that of the pool that knows TASK)")
	fs.StringVar(&f.exchange, "exchange", "", "`exchange` to publish to with the queue's name as routing key, such as "+topology.EntryExchange+"\n(default: the queue's own, or the default exchange)")
	fs.StringVar(&f.codec, "codec", f.codec, "with --url, the body format: "+strings.Join(codec.Names(), "|"))
	fs.StringVar(&f.from, "from", "", "`file` with a JSON array of arguments on each line, one task each; - for stdin")
	fs.IntVarP(&f.n, "number", "n", 1, "how often to publish the task")
	fs.DurationVar(&f.timeout, "timeout", 30*time.Second, "how long to wait while the broker accepts or confirms nothing")
	cmd.MarkFlagsMutuallyExclusive("url", "config")
	cmd.MarkFlagsMutuallyExclusive("from", "number")
	f.due.add(cmd)
	cmd.MarkFlagsMutuallyExclusive("spool", "flush")
	cmd.MarkFlagsMutuallyExclusive("spool", "in")
	cmd.MarkFlagsMutuallyExclusive("spool", "at")
	complete(cmd, "codec", codec.Names())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f.file = *file
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		if f.flush {
			return e.flushSpool(ctx, &spoolFlags{file: f.file, url: f.url, dir: f.spoolDir, timeout: f.timeout})
		}
		return e.publish(ctx, &f, args[0], args[1:])
	}
	return cmd
}

// target is where and how to publish.
type target struct {
	file    *config.File // nil with --url
	dialer  broker.Dialer
	queue   broker.Queue
	codec   task.Codec
	timeout time.Duration
	due     *time.Time    // nil: at once
	in      time.Duration // what --in has said
}

// target finds the broker, the queue and the body format for a task.
func (e *env) target(f *publishFlags, name string) (*target, error) {
	if f.url != "" {
		if !plausibleURL(f.url) {
			return nil, errURL()
		}
		c, err := codec.ByName(f.codec)
		if err != nil {
			return nil, usageError(err, "--codec says the body format")
		}
		if f.queue == "" && f.codec == "magne" {
			f.queue = codec.MagneQueueName(name)
		}
		if f.queue == "" {
			return nil, usageError(errors.New("no queue"), "--url needs --queue")
		}
		q := broker.Queue{Name: f.queue, Durable: true}
		if f.codec == "magne" {
			q = amqp.MagneQueue(f.queue)
		}
		return &target{dialer: publishing(amqp.Dialer{URL: f.url}), queue: q, codec: c, timeout: f.timeout}, nil
	}
	file, err := e.read(f.file)
	if err != nil {
		return nil, err
	}
	pool, err := choosePool(file, f.queue, name)
	if err != nil {
		return nil, err
	}
	c, err := codec.ByName(pool.Codec)
	if err != nil {
		return nil, err
	}
	dialer, err := file.AMQP(nil)
	return &target{file: file, dialer: publishing(dialer), queue: pool.BrokerQueue(), codec: c, timeout: f.timeout}, err
}

// plausibleURL reports whether s can be meant as the URL of a broker. A path with
// an @ or a second / is the end of a password that is not percent-encoded: taken
// for a host and a virtual host it would be shown.
func plausibleURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "amqp" && u.Scheme != "amqps" || u.Hostname() == "" {
		return false
	}
	path := u.EscapedPath()
	return !strings.Contains(path, "@") && strings.Count(path, "/") <= 1
}

// choosePool finds the pool of a queue, or else the one that knows the task.
func choosePool(f *config.File, queue, name string) (*config.Pool, error) {
	var found []*config.Pool
	for i := range f.Pools {
		p := &f.Pools[i]
		if _, knows := p.Tasks[name]; queue == p.Queue || queue == "" && knows {
			found = append(found, p)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, usageError(fmt.Errorf("several pools know the task %q", name), "--queue says which one")
	case queue != "":
		return nil, usageError(fmt.Errorf("no pool has the queue %q", queue), "--url and --queue publish to any queue")
	}
	return byProgram(f, name)
}

// byProgram finds the pool of a task that no pool names. Which tasks a worker
// program knows is its own affair, so that only a pool that is alone can be meant.
func byProgram(f *config.File, name string) (*config.Pool, error) {
	var queues []string
	for i := range f.Pools {
		if p := &f.Pools[i]; p.Process != nil {
			queues = append(queues, p.Queue)
		}
	}
	err := fmt.Errorf("no pool knows the task %q", name)
	switch {
	case len(queues) == 0:
		return nil, usageError(err, "--queue publishes it all the same")
	case len(f.Pools) > 1:
		return nil, usageError(err, "if it is one of a worker program, --queue says of which pool: %s", strings.Join(queues, ", "))
	}
	return &f.Pools[0], nil
}

// published is what publish prints with -o json.
type published struct {
	Queue      string  `json:"queue"`
	Confirmed  int     `json:"confirmed"`
	Unroutable int     `json:"unroutable"`
	Refused    int     `json:"refused"`
	Unknown    int     `json:"unknown"`           // sent, but no answer came
	Spooled    int     `json:"spooled,omitempty"` // with --spool: safe on the disk, not with the broker yet
	Seconds    float64 `json:"seconds"`

	Due *time.Time `json:"due,omitempty"` // with --in and --at
}

func (e *env) publish(ctx context.Context, f *publishFlags, name string, args []string) error {
	if f.n < 1 {
		return usageError(fmt.Errorf("-n %d", f.n), "-n takes a number from 1 up")
	}
	begin := time.Now()
	due, err := f.due.read(begin)
	if err != nil {
		return err
	}
	t, err := e.target(f, name)
	if err != nil {
		return err
	}
	t.queue.Exchange = cmp.Or(f.exchange, t.queue.Exchange)
	if t.due = due; due != nil && f.due.in != "" {
		t.in = due.Sub(begin)
	}
	messages, total, closeSource, err := e.messages(f, name, args)
	if err != nil {
		return err
	}
	defer closeSource()
	session, closeSpool, err := e.session(ctx, f, t)
	if err != nil {
		return err
	}
	if err := t.prepare(ctx, session); err != nil {
		_ = session.Close(ctx) // nothing was published
		return errors.Join(err, closeSpool())
	}
	stop := watchBlocks(session, e.stderr, t.timeout)
	out, err := t.run(ctx, session, interruptible(ctx, messages), newTally(e.stderr, total))
	stop()
	err = errors.Join(err, closeSpool())
	text := fmt.Sprintf("%d published to queue %s%s, confirmed in %.2f s (%.0f/s)\n",
		out.Confirmed, out.Queue, t.dueText(), out.Seconds, float64(out.Confirmed)/out.Seconds)
	if out.Spooled > 0 {
		text += fmt.Sprintf("%d accepted into the spool: %s\n", out.Spooled, f.whoFlushes(t.file))
	}
	return errors.Join(e.print(out, text), err)
}

// run publishes the messages, waits for the answers and closes the session.
func (t *target) run(ctx context.Context, session broker.Session, messages iter.Seq2[*task.Message, error], tally *tally) (published, error) {
	begin := time.Now()
	err := t.send(ctx, session, messages, tally)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.timeout)
	defer cancel()
	patience := t.timeout
	if errors.Is(err, errStalled) {
		patience = 0 // that was the wait
	}
	out, unanswered := tally.wait(patience)
	if s, ok := session.(*spooling); ok && unanswered > 0 {
		s.abandon(ctx)
		out, unanswered = tally.wait(t.timeout)
	}
	if unanswered > 0 {
		err = cmp.Or(err, t.stalled("confirmed"))
		cancel() // Close would wait for the same
	}
	out.Queue, out.Seconds, out.Due = t.queue.Name, time.Since(begin).Seconds(), t.due
	_ = session.Close(closing) // every confirm that matters is in
	return out, out.failure(err, tally.first())
}

// errStalled: the broker has accepted or confirmed nothing for the whole --timeout.
var errStalled = errors.New("the broker blocks publishers (memory or disk alarm?), or the queue has no leader (nodes down?)")

func (t *target) stalled(what string) error {
	return fmt.Errorf("%w: nothing was %s for %v", errStalled, what, t.timeout)
}

// publish hands one message to the session. Each has the whole timeout: to have
// one accepted is progress.
func (t *target) publish(ctx context.Context, session broker.Session, p *broker.Publication, done func(error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, t.timeout, errStalled)
	defer cancel()
	err := session.Publish(ctx, p, done)
	if err != nil && errors.Is(context.Cause(ctx), errStalled) {
		return t.stalled("accepted")
	}
	return err
}

// send publishes the messages; what the broker says of each goes to the tally.
func (t *target) send(ctx context.Context, session broker.Session, messages iter.Seq2[*task.Message, error], tally *tally) error {
	for m, err := range messages {
		if err != nil {
			return err
		}
		raw, err := t.codec.Encode(m)
		if err != nil {
			return usageError(err, "the %s format cannot carry that", t.codec.Name())
		}
		p := &broker.Publication{Exchange: t.queue.Exchange, RoutingKey: t.queue.Name, Body: raw.Body}
		p.ContentType, p.Headers, p.Type, p.MessageID = raw.ContentType, raw.Headers, raw.Type, raw.MessageID
		p.Persistent, p.AppID, p.Timestamp = t.queue.Durable, "magne-actors", time.Now().Truncate(time.Second)
		t.delay(p)
		tally.sent()
		if err := t.publish(ctx, session, p, tally.answer); err != nil {
			tally.unsent()
			return err
		}
	}
	return nil
}

// messages are the tasks to publish, and how many; -1 where that is not known.
func (e *env) messages(f *publishFlags, name string, args []string) (iter.Seq2[*task.Message, error], int, func(), error) {
	if f.from == "" {
		list, err := argList(args)
		return repeat(f.n, name, list), f.n, func() {}, err
	}
	if len(args) > 0 {
		return nil, 0, nil, usageError(errors.New("arguments beside --from"), "the arguments are in the file")
	}
	if f.from == "-" {
		return lines(e.stdin, "stdin", name), -1, func() {}, nil
	}
	in, err := os.Open(f.from)
	if err != nil {
		return nil, 0, nil, usageError(err, "--from names a file with a JSON array on each line")
	}
	return lines(in, f.from, name), -1, func() { _ = in.Close() }, nil
}

// argList makes a JSON array of arguments, of which those that are not JSON are
// strings.
func argList(args []string) (json.RawMessage, error) {
	list := make([]json.RawMessage, len(args))
	for i, a := range args {
		if !json.Valid([]byte(a)) {
			quoted, err := json.Marshal(a)
			if err != nil {
				return nil, err
			}
			a = string(quoted)
		}
		list[i] = json.RawMessage(a)
	}
	return json.Marshal(list)
}

func newMessage(name string, args json.RawMessage) *task.Message {
	return &task.Message{Name: name, ID: uuid.NewString(), Args: args}
}

func repeat(n int, name string, args json.RawMessage) iter.Seq2[*task.Message, error] {
	return func(yield func(*task.Message, error) bool) {
		for range n {
			if !yield(newMessage(name, args), nil) {
				return
			}
		}
	}
}
