package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/actors"
	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/config"
	"github.com/magne-actors/magne-actors/internal/spool"
)

// publishing has one connection do.
func publishing(d amqp.Dialer) amqp.Dialer {
	d.ConnectionName, d.OneConnection = "magne-actors publish", true
	return d
}

// session connects to the broker, or with --spool to the spool when the broker is
// away. The function that it returns closes the spool.
func (e *env) session(ctx context.Context, f *publishFlags, t *target) (broker.Session, func() error, error) {
	nothing := func() error { return nil }
	if !f.spool {
		session, err := connect(ctx, t.dialer, t.timeout)
		if err != nil {
			return nil, nothing, unreachable(t.file, err)
		}
		return session, nothing, nil
	}
	o, err := spoolDir(f.spoolDir, t.file)
	if err != nil {
		return nil, nothing, err
	}
	session, err := connect(ctx, t.dialer, t.timeout)
	if err != nil && !errors.Is(err, broker.ErrUnreachable) {
		return nil, nothing, unreachable(t.file, err)
	}
	s, openErr := openSpool(o)
	if openErr != nil {
		return nil, nothing, openErr
	}
	if err != nil {
		fmt.Fprintf(e.stderr, "%v: the messages go into the spool\n", err)
	}
	return &spooling{Session: session, spool: s, timeout: t.timeout - t.timeout/10, away: err}, s.Close, nil
}

// whoFlushes says what publishes the messages of the spool that was used. `run` knows
// that of its configuration only.
func (f *publishFlags) whoFlushes(file *config.File) string {
	switch {
	case f.spoolDir == "", file != nil && f.spoolDir == file.Broker.Spool.Dir:
		return "`magne-actors run` or `magne-actors publish --flush` publishes them"
	default:
		return fmt.Sprintf("`magne-actors publish --flush --spool-dir %s` publishes them, and `magne-actors run` if that is its broker.spool.dir", quoted(f.spoolDir))
	}
}

// quoted is a word for a shell.
func quoted(word string) string {
	if regexp.MustCompile(`^[A-Za-z0-9_./:@%+=-]+$`).MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(printable(word), "'", `'\''`) + "'"
}

// errSpooled is the answer to a message that went into the spool.
var errSpooled = errors.New("in the spool")

// errUnspooled is the answer to one that the disk did not take, for another reason than
// that it is full: it may be there or not.
var errUnspooled = errors.New("the spool failed")

// spooling is a session whose broker may be away: what it does not take goes into
// the spool, and so does everything after that.
type spooling struct {
	broker.Session // nil: away from the start
	spool          *spool.Spool
	timeout        time.Duration // less than that of the command, which would give up
	away           error         // why the broker takes nothing
}

// Publish implements broker.Session for one goroutine at a time.
func (s *spooling) Publish(ctx context.Context, p *broker.Publication, done func(error)) error {
	if s.away != nil {
		s.put(p, done)
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := s.Session.Publish(limited, p, func(err error) {
		switch {
		case errors.Is(err, broker.ErrRefused), errors.Is(err, broker.ErrUnknown):
			s.put(p, done)
		default:
			done(err)
		}
	})
	if err == nil || ctx.Err() != nil || errors.Is(err, broker.ErrInvalid) {
		return err
	}
	s.away = err
	s.put(p, done)
	return nil
}

func (s *spooling) put(p *broker.Publication, done func(error)) {
	s.spool.Put(p, func(release func(bool), err error) {
		switch {
		case err == nil:
			release(true)
			err = errSpooled
		case errors.Is(err, spool.ErrFull):
			err = fmt.Errorf("%w: %w", broker.ErrRefused, err)
		default:
			err = fmt.Errorf("%w: %w", errUnspooled, err)
		}
		done(err)
	})
}

// abandon has what is unconfirmed go into the spool.
func (s *spooling) abandon(ctx context.Context) {
	ended, end := context.WithCancel(ctx)
	end()
	_ = s.Close(ended) // it was given up; what is unconfirmed becomes unknown
}

// Close implements broker.Session.
func (s *spooling) Close(ctx context.Context) error {
	if s.Session == nil {
		return nil
	}
	return s.Session.Close(ctx)
}

// Blocked implements broker.Session.
func (s *spooling) Blocked() (string, time.Time) {
	if s.Session == nil {
		return "", time.Time{}
	}
	return s.Session.Blocked()
}

// spoolDir is where --spool and --flush find the spool.
func spoolDir(flag string, f *config.File) (spool.Options, error) {
	o := spool.Options{Dir: flag}
	if f != nil {
		o.MaxBytes = int64(f.Broker.Spool.MaxBytes)
		if o.Dir == "" {
			o.Dir = f.Broker.Spool.Dir
		}
	}
	if o.Dir == "" {
		return o, usageError(errors.New("there is no spool"), "broker.spool.dir in the configuration names its directory, or --spool-dir does")
	}
	return o, nil
}

// openSpool opens a spool for a command.
func openSpool(o spool.Options) (*spool.Spool, error) {
	s, err := spool.Open(o)
	if err != nil {
		return nil, failed(exitError, err, "broker.spool.dir or --spool-dir names the directory; is it yours?")
	}
	return s, nil
}

// spoolFor opens the spool of the configuration, if there is one, for a System.
func spoolFor(f *config.File, o *actors.Options, log *slog.Logger) (closeSpool func(), err error) {
	s, closing, err := f.OpenSpool(log)
	if err != nil {
		return nil, failed(exitError, err, "broker.spool.dir names the directory; is it yours?")
	}
	o.Spool = s
	return func() { _ = closing() }, nil // what is in it was fsynced before it counted
}

// watchBlocks says on out when the broker begins to block publishers, and when it
// stops. The function that it returns ends it.
func watchBlocks(session broker.Session, out io.Writer, patience time.Duration) (stop func()) {
	const every = 200 * time.Millisecond
	ended, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		tick := time.NewTicker(every)
		defer tick.Stop()
		said := false
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
			}
			reason, since := session.Blocked()
			switch blocked := !since.IsZero(); {
			case blocked && !said:
				fmt.Fprintf(out, "the broker blocks publishers (%s): waiting up to %v\n", reason, patience)
				said = true
			case !blocked && said:
				fmt.Fprintf(out, "the broker takes messages again\n")
				said = false
			}
		}
	}()
	return func() {
		close(ended)
		<-over
	}
}
