// Command publish makes tasks from a Go program: one for each line of its standard
// input, for the task "hello" in the queue "work", as examples/quickstart runs it.
//
//	printf 'Ada\nGrace\n' | go run ./examples/publish
//	printf 'Ada\nGrace\n' | go run ./examples/publish -in 1m -spool /var/tmp/hello
//
// It ends with status 0 when all are with the broker, or safe in the spool.
package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/broker/publisher"
	"github.com/magne-actors/magne-actors/task"
)

func main() {
	in := flag.Duration("in", 0, "have the tasks run after this `time`")
	spool := flag.String("spool", "", "`directory` for what the broker does not take")
	flag.Parse()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdin, *in, *spool, log); err != nil {
		log.Error("publish", "err", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, names io.Reader, in time.Duration, spool string, log *slog.Logger) error {
	p, err := publisher.New(publisher.Options{
		Dialer: amqp.Dialer{
			URL:            cmp.Or(os.Getenv("AMQP_URL"), "amqp://guest:guest@127.0.0.1:5672/"),
			ConnectionName: "hello", OneConnection: true,
		},
		SpoolDir: spool,
		Logger:   log,
	})
	if err != nil {
		return err
	}
	receipts, err := publish(ctx, p, names, in)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	err = errors.Join(err, p.Close(closing)) // every message has its answer now
	accepted := map[publisher.Outcome]int{}
	for _, r := range receipts {
		outcome, answer := r.Result()
		accepted[outcome]++
		err = errors.Join(err, answer)
	}
	fmt.Printf("%d confirmed, %d in the spool, %d not accepted\n",
		accepted[publisher.Confirmed], accepted[publisher.Spooled], accepted[0])
	return err
}

// publish makes a task of each line. It waits for room in the window, and not for the
// broker's answers.
func publish(ctx context.Context, p *publisher.Publisher, names io.Reader, in time.Duration) ([]*publisher.Receipt, error) {
	var receipts []*publisher.Receipt
	lines, ended := scan(ctx, names)
	for {
		select {
		case <-ctx.Done():
			return receipts, context.Cause(ctx)
		case line, more := <-lines:
			if !more {
				return receipts, <-ended
			}
			r, err := hello(ctx, p, line, in)
			if err != nil {
				return receipts, err
			}
			receipts = append(receipts, r)
		}
	}
}

func hello(ctx context.Context, p *publisher.Publisher, name string, in time.Duration) (*publisher.Receipt, error) {
	args, err := json.Marshal([]string{name})
	if err != nil {
		return nil, err
	}
	m, err := p.Task(broker.Queue{Name: "work"}, &task.Message{Name: "hello", Args: args}, publisher.In(in))
	if err != nil {
		return nil, err
	}
	return p.Async(ctx, m)
}

// scan reads lines until ctx ends. A read from a terminal knows of no context: the
// goroutine may be in one until the program ends.
func scan(ctx context.Context, in io.Reader) (<-chan string, <-chan error) {
	lines, ended := make(chan string), make(chan error, 1)
	go func() {
		s := bufio.NewScanner(in)
		for s.Scan() {
			select {
			case lines <- s.Text():
			case <-ctx.Done():
				return
			}
		}
		ended <- s.Err()
		close(lines)
	}()
	return lines, ended
}
