package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/magne-actors/magne-actors/task"
)

// interruptible ends the messages with an error when ctx ends, although reading
// the next one from a terminal or a pipe may block for ever.
func interruptible(ctx context.Context, messages iter.Seq2[*task.Message, error]) iter.Seq2[*task.Message, error] {
	type next struct {
		m   *task.Message
		err error
	}
	return func(yield func(*task.Message, error) bool) {
		read := make(chan next)
		go func() {
			for m, err := range messages {
				select {
				case read <- next{m, err}:
				case <-ctx.Done():
					return // without a close, which would say that these were all
				}
			}
			close(read)
		}()
		for {
			select {
			case n, ok := <-read:
				if !ok || !yield(n.m, n.err) {
					return
				}
			case <-ctx.Done():
				yield(nil, ctx.Err())
				return
			}
		}
	}
}

// maxLine bounds a line of --from.
const maxLine = 16 << 20

// lines makes a task of each line, a JSON array; empty lines are skipped.
func lines(in io.Reader, file, name string) iter.Seq2[*task.Message, error] {
	return func(yield func(*task.Message, error) bool) {
		s := bufio.NewScanner(in)
		s.Buffer(nil, maxLine)
		line := 1
		for ; s.Scan(); line++ {
			if len(s.Bytes()) == 0 {
				continue
			}
			var args []json.RawMessage
			if err := json.Unmarshal(s.Bytes(), &args); err != nil {
				yield(nil, usageError(fmt.Errorf("%s:%d: not a JSON array of arguments: %w", file, line, err), "the lines before it were published"))
				return
			}
			if !yield(newMessage(name, json.RawMessage(s.Text())), nil) {
				return
			}
		}
		switch err := s.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			yield(nil, usageError(fmt.Errorf("%s:%d: the line is longer than %d MiB", file, line, maxLine>>20), "the lines before it were published"))
		case err != nil:
			yield(nil, fmt.Errorf("%s:%d: %w", file, line, err))
		}
	}
}
