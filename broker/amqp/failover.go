package amqp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/magne-actors/magne-actors/broker"
)

// How long one connection may take to be opened: alone, and where there is another
// broker to try.
const (
	dialPatience  = 30 * time.Second
	roundPatience = 10 * time.Second
)

// Rotation remembers to which of Dialer.URLs the newest session went, so that the
// next one tries the others first. The zero value is ready for use. Copies of a
// Dialer share it.
type Rotation struct{ last atomic.Pointer[string] }

// urls are those to try.
func (d Dialer) urls() []string {
	if len(d.URLs) > 0 {
		return d.URLs
	}
	return []string{d.URL}
}

// round is the order in which a dial tries the URLs: at random, so that many
// programs do not all go to the same broker, and that of the newest session last for
// the next session, which is wanted because that one failed, and first for what looks
// on beside it.
func (d Dialer) round(session bool) []string {
	list := slices.Clone(d.urls())
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	if d.Rotation == nil {
		return list
	}
	if last := d.Rotation.last.Load(); last != nil {
		if i := slices.Index(list, *last); i >= 0 {
			list = slices.Delete(list, i, i+1)
			at := 0
			if session {
				at = len(list)
			}
			list = slices.Insert(list, at, *last)
		}
	}
	return list
}

// open checks the options and opens the first connection, to one of the URLs, which
// the returned Dialer then has as its only one. session says that a session is made
// of it.
func (d Dialer) open(ctx context.Context, role string, session bool) (Dialer, *link, error) {
	if err := d.validate(); err != nil {
		return d, nil, err
	}
	var failed roundError
	for _, u := range d.round(session) {
		d.URL = u
		l, err := d.openOne(ctx, role)
		if err == nil {
			if d.Rotation != nil && session {
				d.Rotation.last.Store(&u)
			}
			return d, l, nil
		}
		failed = append(failed, err)
		if ctx.Err() != nil {
			break
		}
	}
	if len(failed) == 1 {
		return d, nil, failed[0]
	}
	return d, nil, failed
}

// openOne makes one attempt at URL, or two where the broker has said nothing.
func (d Dialer) openOne(ctx context.Context, role string) (*link, error) {
	l, err := d.connect(ctx, role)
	if errors.Is(err, errSilence) && ctx.Err() == nil {
		l, err = d.connect(ctx, role)
		if errors.Is(err, errSilence) {
			err = fmt.Errorf("%w: %w", broker.ErrDenied, err)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("amqp: connect to %s: %w", d.where(), err)
	}
	return l, nil
}

// roundError is why none of several brokers could be reached. It wraps
// broker.ErrDenied only when all of them deny: another one may still come back.
type roundError []error

func (e roundError) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = strings.TrimPrefix(err.Error(), "amqp: ")
	}
	return fmt.Sprintf("amqp: none of %d brokers: %s", len(e), strings.Join(texts, "; "))
}

func (e roundError) Unwrap() []error {
	others := slices.DeleteFunc(slices.Clone(e), func(err error) bool { return errors.Is(err, broker.ErrDenied) })
	if len(others) > 0 {
		return others
	}
	return e
}
